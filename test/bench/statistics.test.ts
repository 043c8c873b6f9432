import { expect, test } from "vitest";
import { LatencyHistogram, spread } from "../../bench/lib/statistics.ts";

test("a spread is the median with the lowest and the highest", () => {
  expect(spread([3, 1, 2, 10])).toEqual({ median: 2.5, min: 1, max: 10 });
});

test("quantiles are exact to 10 us below a second and to 1 ms above", () => {
  const histogram = new LatencyHistogram();
  for (let ms = 0.1; ms < 99.5; ms += 1) histogram.recordMs(ms);
  histogram.recordMs(12_345.6);
  expect(histogram.quantileMs(0.5)).toBeCloseTo(50.1, 1);
  expect(histogram.quantileMs(0.999)).toBeCloseTo(12_345.6, 0);
});

test("what is out of range counts at its end, and nothing at all is NaN", () => {
  const histogram = new LatencyHistogram();
  expect(histogram.quantileMs(0.5)).toBeNaN();
  histogram.recordMs(-1);
  histogram.recordMs(1e9);
  expect(histogram.quantileMs(0.5)).toBeCloseTo(0, 1);
  expect(histogram.quantileMs(1)).toBeGreaterThan(60_000);
});
