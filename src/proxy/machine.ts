// What the proxy has to know of the machine it runs on.
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";

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
