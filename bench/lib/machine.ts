// What a figure means depends on where it was taken.
import os from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const BUSY_SAMPLE_MS = 1_000;

export interface Machine {
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGib: number;
  readonly system: string;
  readonly node: string;
  /** Runnable processes, averaged over the minute before the benchmark: work that is not ours. */
  readonly load1: number;
}

export function machine(): Machine {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? "unknown",
    cpus: cpus.length,
    memoryGib: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    load1: os.loadavg()[0] ?? Number.NaN,
  };
}

export function machineLine({ cpu, cpus, memoryGib, system, node, load1 }: Machine): string {
  return `${cpus} x ${cpu}, ${memoryGib} GiB, ${system}, Node ${node}, load ${load1.toFixed(2)} before the start`;
}

/** CPUs that are at work in this second, by whatever: taken when nothing of ours runs, it is the work of others. */
export async function busyCpus(): Promise<number> {
  const before = cpuTimes();
  await sleep(BUSY_SAMPLE_MS);
  const after = cpuTimes();
  return ((after.busy - before.busy) / (after.all - before.all)) * os.cpus().length;
}

function cpuTimes(): { readonly busy: number; readonly all: number } {
  const cpus = os.cpus();
  const all = cpus.flatMap(({ times }) => Object.values(times));
  const idle = cpus.map(({ times }) => times.idle);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return { busy: sum(all) - sum(idle), all: sum(all) };
}
