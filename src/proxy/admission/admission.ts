// Whether a new connection of a client is taken: the limits in all and of each client, and overload. What the connection
// takes of the limits it gives back once, by its lease.
import type net from "node:net";
import { clientKey, type ClientConnections, type ClientKey } from "../across-workers/client-connections.ts";
import type { ConnectionTotal } from "../across-workers/connection-total.ts";
import type { OverloadReason, OverloadState } from "../across-workers/overload-state.ts";
import type { BufferedBytes } from "../buffered-bytes.ts";
import type { ProxyLimits } from "../limits.ts";

/** The words of metrics. */
export type RefusalReason = "total" | "client" | "buffers" | OverloadReason;

/** The parts of `SharedState` that count. */
interface Counts {
  readonly connections: ConnectionTotal;
  readonly clients: ClientConnections;
  readonly overload: OverloadState;
}

type AdmissionLimits = Pick<
  ProxyLimits,
  "connectionsMax" | "connectionsPerClientMax" | "overloadConnectionsMin"
>;

export class Admission {
  readonly #counts: Counts;
  readonly #buffered: BufferedBytes;
  readonly #limits: AdmissionLimits;

  constructor(counts: Counts, buffered: BufferedBytes, limits: AdmissionLimits) {
    this.#counts = counts;
    this.#buffered = buffered;
    this.#limits = limits;
  }

  /** Takes it, or says why not. */
  open(socket: net.Socket): ConnectionLease | RefusalReason {
    const { connections, clients, overload } = this.#counts;
    const { connectionsMax, connectionsPerClientMax, overloadConnectionsMin } = this.#limits;
    const reason = this.#buffered.isNearlyFull ? "buffers" : overload.reason;
    if (reason !== null && connections.own >= overloadConnectionsMin) return reason;
    if (!connections.tryOpen(connectionsMax)) return "total";
    if (connectionsPerClientMax === 0) return new ConnectionLease(this.#counts, null);
    const client = clientKey(socket.remoteAddress ?? "");
    if (clients.tryOpen(client, connectionsPerClientMax)) return new ConnectionLease(this.#counts, client);
    connections.close();
    return "client";
  }
}

export class ConnectionLease {
  readonly #counts: Counts;
  readonly #client: ClientKey | null;
  #isReleased = false;

  constructor(counts: Counts, client: ClientKey | null) {
    this.#counts = counts;
    this.#client = client;
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#counts.connections.close();
    if (this.#client !== null) this.#counts.clients.close(this.#client);
  }
}
