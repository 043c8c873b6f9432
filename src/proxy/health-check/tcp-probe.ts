// TCP: a connection passes. It is closed at once, and nothing is sent or read.
import type { HealthCheckSettings } from "../filter.ts";
import {
  describeProbe,
  outcomeOf,
  passed,
  ProbeSocket,
  type ProbeOutcome,
  type ProbeTarget,
} from "./probe.ts";

export async function probeTcp(
  target: ProbeTarget,
  settings: HealthCheckSettings,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const { promise, resolve } = Promise.withResolvers<ProbeOutcome>();
  const socket = new ProbeSocket(target, (error) =>
    resolve(error === null ? passed : outcomeOf(error, describeProbe(settings))),
  );
  // The caller knows why it has ended the probe.
  const onAbort = (): void => resolve(outcomeOf(signal.reason, describeProbe(settings)));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
  }
}
