// What a figure means depends on where it was taken.
import os from "node:os";

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
