// The little statistics the benchmarks need: medians with their range, and quantiles of latencies.

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** Of values in ascending order, interpolated between neighbours. NaN for none. */
export function quantile(sorted: readonly number[], q: number): number {
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}

/** Up to here in steps of 10 us, above in steps of 1 ms. */
const FINE_MS = 1_000;
const FINE_CELLS = FINE_MS * 100;
const COARSE_CELLS = 60_000;

/** Counts of latencies: exact enough, and nothing is allocated while load runs. Those above 61 s count as that. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(FINE_CELLS + COARSE_CELLS);
  #total = 0;

  recordMs(ms: number): void {
    const cell = ms < FINE_MS ? Math.floor(ms * 100) : FINE_CELLS + Math.floor(ms - FINE_MS);
    const kept = Math.min(this.#counts.length - 1, Math.max(0, cell));
    this.#counts[kept] = (this.#counts[kept] ?? 0) + 1;
    this.#total += 1;
  }

  quantileMs(q: number): number {
    let left = Math.max(1, Math.ceil(this.#total * q));
    for (let cell = 0; cell < this.#counts.length; cell += 1) {
      left -= this.#counts[cell] ?? 0;
      if (left <= 0) return cell < FINE_CELLS ? (cell + 0.5) / 100 : FINE_MS + cell - FINE_CELLS + 0.5;
    }
    return Number.NaN;
  }
}
