// One probe: what it is sent to, what came of it, and the socket and the time that all kinds of probes use alike.
import net from "node:net";
import type { HealthCheckSettings, StatusRange } from "../filter.ts";

export interface ProbeTarget {
  readonly address: string;
  /** That of the probe, not always that of the endpoint. */
  readonly port: number;
}

/**
 * `failed`: an answer that does not pass, or none. `timeout`: no verdict in time. `unreachable`: no connection.
 * `ownFault`: this machine could not probe, which says nothing of the endpoint.
 */
export type ProbeResult = "passed" | "failed" | "timeout" | "unreachable" | "ownFault";

export interface ProbeOutcome {
  readonly result: ProbeResult;
  /** What was found, and what was expected. Empty when it passed. */
  readonly words: string;
}

/** Never rejects. `signal` ends the probe: its time is over (`ProbeTimeout`), or nobody wants to know any more. */
export type Prober = (
  target: ProbeTarget,
  settings: HealthCheckSettings,
  signal: AbortSignal,
) => Promise<ProbeOutcome>;

export const passed: ProbeOutcome = { result: "passed", words: "" };

export function failed(words: string): ProbeOutcome {
  return { result: "failed", words };
}

/** What a probe asks, in words: the beginning of every sentence about it. */
export function describeProbe({ kind, path, service, port }: HealthCheckSettings): string {
  const where = port === null ? "" : ` on port ${port}`;
  switch (kind) {
    case "http":
      return `GET ${path}${where}`;
    case "tcp":
      return `TCP connection${where}`;
    case "grpc":
      return `gRPC health check${service === "" ? "" : ` of ${service}`}${where}`;
  }
}

/** `200-299, 418`. */
export function formatStatuses(statuses: readonly StatusRange[]): string {
  return statuses.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(", ");
}

/** Errors of connecting whose cause is this machine. */
const ownShortage = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EAGAIN"]);

/** A failure to connect, in contrast to one on the connection. */
export class ConnectError extends Error {
  readonly isOwnFault: boolean;

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.code ?? cause.message, { cause });
    this.isOwnFault = ownShortage.has(cause.code ?? "");
  }
}

/** Why the signal of a probe ends it: there was no verdict in time. */
export class ProbeTimeout extends Error {
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
  }
}

/** The error of a probe as an outcome; `what` is described by `describeProbe`. */
export function outcomeOf(error: unknown, what: string): ProbeOutcome {
  if (!(error instanceof Error)) return failed(`${what} failed: ${String(error)}`);
  if (error instanceof ProbeTimeout) return { result: "timeout", words: `${what}: ${error.message}` };
  if (error instanceof ConnectError) {
    const words = `${what}: could not connect: ${error.message}`;
    return { result: error.isOwnFault ? "ownFault" : "unreachable", words };
  }
  const { cause } = error;
  return cause instanceof ConnectError ? outcomeOf(cause, what) : failed(`${what} failed: ${error.message}`);
}

/** A connection of one probe, which nothing outlives: `destroy` ends it in every state. */
export class ProbeSocket {
  readonly #socket: net.Socket;

  constructor(
    { address, port }: ProbeTarget,
    onOutcome: (error: ConnectError | null, socket: net.Socket) => void,
  ) {
    const socket = net.connect({ host: address, port, noDelay: true });
    this.#socket = socket;
    const onError = (error: NodeJS.ErrnoException): void => onOutcome(new ConnectError(error), socket);
    socket.once("error", onError);
    socket.once("connect", () => {
      socket.off("error", onError);
      onOutcome(null, socket);
    });
  }

  destroy(): void {
    // What still goes wrong on it is of no interest to anybody.
    this.#socket.on("error", () => undefined);
    this.#socket.destroy();
  }
}
