// CPU time and memory of a process and of its descendants, read from Linux's /proc: the same instrument for every peer, whatever
// it is written in. Nothing here works on another system; `isCpuMeasurable` says so.
import fs from "node:fs";

/** Unit of utime and stime in /proc/<pid>/stat: 100 per second in the kernel's interface on every architecture. */
const TICK_US = 10_000;

export function isCpuMeasurable(): boolean {
  return process.platform === "linux" && fs.existsSync("/proc/self/stat");
}

/** User and system time in microseconds since the start: all threads of `pid`, and its living descendants. */
export function cpuTimeUs(pid: number): number {
  let total = 0;
  for (const member of [pid, ...descendants(pid)]) total += schedulerTimeUs(member) ?? tickTimeUs(member);
  return total;
}

/**
 * Nanosecond accounting of the scheduler, where the kernel has it: a round of one second is 100 ticks of /proc/stat,
 * which alone would cost several per cent of precision. Threads that ended are missing, and no peer ends threads.
 */
function schedulerTimeUs(pid: number): number | undefined {
  try {
    let nanoseconds = 0;
    for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
    }
    return nanoseconds > 0 ? nanoseconds / 1000 : undefined;
  } catch {
    return undefined;
  }
}

/** Resident memory in KiB of `pid` and its living descendants; pages that they share count for each. */
export function residentKib(pid: number): number {
  return [pid, ...descendants(pid)].reduce((sum, member) => sum + memberKib(member), 0);
}

function memberKib(pid: number): number {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
    return Number(match?.[1] ?? Number.NaN);
  } catch {
    return Number.NaN;
  }
}

function tickTimeUs(pid: number): number {
  const fields = statFields(pid);
  // Fields 14 and 15 of proc(5); the first two are cut off by `statFields`.
  return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statFields(Number(name))?.[1]);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(name)]);
    else siblings.push(Number(name));
  }
  const found: number[] = [];
  const queue = [pid];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const direct = children.get(next) ?? [];
    found.push(...direct);
    queue.push(...direct);
  }
  return found;
}

/** Fields of /proc/<pid>/stat from the third on; undefined when the process is gone. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the command in parentheses, may hold blanks and parentheses of its own.
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
