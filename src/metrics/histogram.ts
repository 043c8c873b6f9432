// A histogram in one typed array: counts by bucket, then the sum. Observing allocates nothing.
import type { Sample } from "./samples.ts";

export class Histogram {
  readonly #bounds: Float64Array;
  /** One count for each bound, one for everything above, and the sum of the observed values. */
  readonly #cells: Float64Array;

  /** `bounds`: inclusive upper bounds, ascending; the array is kept, so many histograms can share it. */
  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.#cells = new Float64Array(bounds.length + 2);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket += 1;
    add(this.#cells, bucket, 1);
    add(this.#cells, bounds.length + 1, value);
  }

  /** A copy of the cells, for `add` of another one with the same bounds. */
  cells(): Float64Array {
    return this.#cells.slice();
  }

  add(cells: Float64Array): void {
    for (const [index, value] of cells.entries()) add(this.#cells, index, value);
  }

  /** Cumulative buckets, sum and count as Prometheus wants them. */
  samples(name: string, labels: Readonly<Record<string, string>>): Sample[] {
    const samples: Sample[] = [];
    let count = 0;
    for (const [bucket, bound] of [...this.#bounds, Infinity].entries()) {
      count += this.#cells[bucket] ?? 0;
      const le = bound === Infinity ? "+Inf" : String(bound);
      samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: count });
    }
    samples.push({ metricName: `${name}_sum`, labels, value: this.#cells[this.#bounds.length + 1] ?? 0 });
    samples.push({ metricName: `${name}_count`, labels, value: count });
    return samples;
  }
}

/** `cells[index] += value` for indexes that are known to exist. */
export function add(cells: Float64Array, index: number, value: number): void {
  cells[index] = (cells[index] ?? 0) + value;
}
