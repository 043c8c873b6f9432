// What a group of counters hands over when somebody scrapes.
import type { MetricKey } from "./definitions.ts";

export interface Sample {
  /** Of a histogram: the name with its suffix. */
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** How to read the present value of each metric of a group. */
export type Samplers = { readonly [Key in MetricKey]?: () => readonly Sample[] };

export interface MetricSource {
  readonly samplers: Samplers;
}

/** One value without labels. */
export function single(value: number): readonly Sample[] {
  return [{ labels: {}, value }];
}
