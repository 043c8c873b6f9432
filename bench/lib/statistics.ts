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

/** Counts of latencies in steps of 10 us up to 1 s: exact enough, and nothing is allocated while load runs. Longer ones count as the longest. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(100_000);
  #total = 0;
  #maxMs = 0;

  recordMs(ms: number): void {
    const cell = Math.min(this.#counts.length - 1, Math.max(0, Math.floor(ms * 100)));
    this.#counts[cell] = (this.#counts[cell] ?? 0) + 1;
    this.#total += 1;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  quantileMs(q: number): number {
    let left = Math.max(1, Math.ceil(this.#total * q));
    for (let cell = 0; cell < this.#counts.length; cell += 1) {
      left -= this.#counts[cell] ?? 0;
      if (left <= 0) return cell === this.#counts.length - 1 ? this.#maxMs : (cell + 0.5) / 100;
    }
    return Number.NaN;
  }
}
