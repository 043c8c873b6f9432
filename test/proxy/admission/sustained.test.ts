import { expect, test } from "vitest";
import { LoopDelay, loopSampleMs, MemoryWatch } from "../../../src/proxy/admission/overload-watch.ts";
import { Sustained } from "../../../src/proxy/admission/sustained.ts";
import { OverloadState } from "../../../src/proxy/across-workers/overload-state.ts";
import { heapShare, memoryLimitBytes, memoryShare } from "../../../src/proxy/machine.ts";
import { ManualClock } from "../../../src/util/clock.ts";

const options = { enterAt: 10, enterAfterMs: 1_000, leaveBelow: 5, leaveAfterMs: 5_000 };

function states(samples: readonly (readonly [number, number])[]): boolean[] {
  const sustained = new Sustained(options);
  return samples.map(([value, nowMs]) => sustained.observe(value, nowMs));
}

test("a value is beyond its bound once it has been for long enough, without a sample below", () => {
  expect(
    states([
      [10, 0],
      [12, 999],
      [10, 1_000],
    ]),
  ).toEqual([false, false, true]);
  expect(
    states([
      [10, 0],
      [9, 500],
      [10, 1_000],
      [10, 1_999],
      [10, 2_000],
    ]),
  ).toEqual([false, false, false, false, true]);
});

test("it is back once it has been well below for longer", () => {
  expect(
    states([
      [10, 0],
      [10, 1_000],
      [7, 2_000],
      [4, 3_000],
      [5, 4_000],
      [4, 5_000],
      [4, 9_999],
      [4, 10_000],
    ]),
  ).toEqual([false, true, true, true, true, true, true, false]);
});

test("one long pause of the event loop is no overload; lateness that lasts is", () => {
  const loop = new LoopDelay(500, 0);
  let nowMs = 0;
  const late = (ms: number): boolean => {
    nowMs += loopSampleMs + ms;
    return loop.observe(nowMs);
  };
  expect([late(0), late(5_000), late(0), late(0)]).toEqual([false, false, false, false]);
  expect([late(600), late(600), late(600)]).toEqual([false, false, true]);
  // Half the bound is not well below it.
  for (let i = 0; i < 20; i += 1) expect(late(250)).toBe(true);
  for (let i = 0; i < 50; i += 1) expect(late(0)).toBe(true);
  expect(late(0)).toBe(false);
});

test("memory beyond its share is an overload at the next look, and its end takes five seconds below", () => {
  const clock = new ManualClock();
  const state = new OverloadState(new SharedArrayBuffer(8), 1);
  let share = 0.89;
  const limits = { overloadEventLoopDelayMs: 0, overloadMemoryShare: 0.9 };
  const watch = new MemoryWatch(state, limits, clock, () => share);
  clock.advanceMs(1_000);
  expect(state.reason).toBeNull();
  share = 0.91;
  clock.advanceMs(1_000);
  expect(state.reason).toBe("memory");
  share = 0.86;
  clock.advanceMs(60_000);
  expect(state.reason).toBe("memory");
  share = 0.84;
  clock.advanceMs(5_000);
  expect(state.reason).toBe("memory");
  clock.advanceMs(1_000);
  expect(state.reason).toBeNull();
  watch.close();
});

test("memory is measured as a share of what there is", () => {
  expect(memoryLimitBytes()).toBeGreaterThan(64 * 1024 * 1024);
  expect(memoryLimitBytes()).toBeLessThan(2 ** 50);
  for (const share of [memoryShare(), heapShare()]) {
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(1);
  }
});
