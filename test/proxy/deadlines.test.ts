import { expect, test } from "vitest";
import { Deadlines, deadlineTickMs } from "../../src/proxy/deadlines.ts";
import { ManualClock } from "../../src/util/clock.ts";

test("a callback that throws is reported once, and the others still get theirs", () => {
  const clock = new ManualClock();
  const bugs: unknown[] = [];
  const deadlines = new Deadlines(clock, (error) => bugs.push(error));
  const bug = new Error("broken");
  let calls = 0;
  deadlines.add({
    deadlineAt: 0,
    onDeadline() {
      throw bug;
    },
  });
  deadlines.add({ deadlineAt: 0, onDeadline: () => (calls += 1) });
  clock.advanceMs(2 * deadlineTickMs);
  expect(bugs).toEqual([bug]);
  expect(calls).toBe(2);
  deadlines.close();
});
