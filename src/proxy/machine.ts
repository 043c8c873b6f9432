// What the proxy has to know of the machine it runs on.
import { readFileSync } from "node:fs";
import { networkInterfaces, totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";

/** The soft limit of open files of this process; Infinity where it cannot be read. */
export function openFilesLimit(): number {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

/** Client connections that leave descriptors for as many connections to endpoints, and a fifth for everything else. */
export function connectionsForDescriptors(descriptors: number): number {
  return Math.max(1, Math.floor((descriptors * 0.8) / 2));
}

/** What this process may use: the container's limit (cgroup v1 or v2), or what the machine has. */
export function memoryLimitBytes(): number {
  // Without a limit the kernel tells a number beyond all memory.
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** Of the memory this process may use, the part that it uses. */
export function memoryShare(): number {
  return process.memoryUsage.rss() / memoryLimitBytes();
}

/** The same of the heap of this thread, beyond which V8 ends it. */
export function heapShare(): number {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  return used / limit;
}

/** How long the list of interfaces is believed. */
const interfacesMaxAgeMs = 10_000;
let ownAddresses: ReadonlySet<string> = new Set();
let readAtMs = -Infinity;

/** Loopback, or an address of one of the interfaces. */
export function isOwnAddress(address: string): boolean {
  if (address.startsWith("127.") || address === "::1") return true;
  const nowMs = performance.now();
  if (nowMs - readAtMs > interfacesMaxAgeMs) {
    const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    ownAddresses = new Set(all.map((each) => each.address));
    readAtMs = nowMs;
  }
  return ownAddresses.has(address);
}
