// How much the randomised tests try. `npm test` is bounded and the same in every run; `npm run test:long` tries as much
// as fits into a few minutes, from a seed that it prints.
import type { Parameters } from "fast-check";

/** How many times as many inputs as in `npm test`. */
export const factor = Number(process.env["FUZZ_FACTOR"] ?? 1);

/** What is a sample in `npm test` is complete. */
export const isLong = factor > 1;

/** For a run of `npm run test:long`; without one every run is the same. */
export const longSeed = Number(process.env["FUZZ_SEED"] ?? 0);

/** Numbers of seeded runs: as many as in `npm test`, and others in a long run. */
export function seeds(count: number): readonly number[] {
  return Array.from({ length: count * factor }, (_, i) => longSeed + i);
}

/** For fast-check: `runs` inputs, in a long run as many more as fit into `secondsMax`. */
export function effort(seed: number, runs: number, secondsMax: number): Parameters<unknown> {
  const chosen = { seed: longSeed === 0 ? seed : longSeed, numRuns: runs * factor };
  return isLong ? { ...chosen, interruptAfterTimeLimit: secondsMax * 1000 } : chosen;
}

/** For vitest: of a test with such a bound. */
export function effortTimeoutMs(secondsMax: number): number {
  return (secondsMax + 60) * 1000;
}
