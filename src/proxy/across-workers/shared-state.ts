// What must be right across workers, in memory that all of them see. A proxy without workers has the same for itself.
import { randomInt } from "node:crypto";
import { defaultLimits, type ProxyLimits } from "../limits.ts";
import { ClientConnections, makeClientBuffer } from "./client-connections.ts";
import { ConnectionTotal } from "./connection-total.ts";
import { EndpointDirectory, makeDirectoryBuffers, type DirectoryBuffers } from "./endpoint-directory.ts";
import { OverloadState } from "./overload-state.ts";

/** What is sent to a worker when it starts. */
export interface SharedBuffers {
  readonly connections: SharedArrayBuffer;
  readonly clients: SharedArrayBuffer;
  readonly overload: SharedArrayBuffer;
  readonly endpoints: DirectoryBuffers;
  readonly workers: number;
}

type SharedLimits = Pick<ProxyLimits, "connectionsMax" | "connectionsPerClientMax">;

/** The thread that owns the workers takes the number `workers`: it has cells, and no connections or requests. */
export function makeSharedBuffers(workers: number, limits: SharedLimits = defaultLimits): SharedBuffers {
  const { connectionsMax, connectionsPerClientMax } = limits;
  const cellOfEach = (workers + 1) * Int32Array.BYTES_PER_ELEMENT;
  const clientSlots = connectionsPerClientMax === 0 ? 0 : 2 * connectionsMax;
  return {
    connections: new SharedArrayBuffer(cellOfEach),
    clients: makeClientBuffer(workers + 1, clientSlots, randomInt(2 ** 31)),
    overload: new SharedArrayBuffer(cellOfEach),
    endpoints: makeDirectoryBuffers(workers + 1),
    workers,
  };
}

export class SharedState {
  readonly connections: ConnectionTotal;
  readonly clients: ClientConnections;
  readonly overload: OverloadState;
  readonly endpoints: EndpointDirectory;

  /** `worker` counts from 0. */
  constructor(buffers: SharedBuffers, worker: number) {
    this.connections = new ConnectionTotal(buffers.connections, worker);
    this.clients = new ClientConnections(buffers.clients, buffers.workers + 1, worker);
    this.overload = new OverloadState(buffers.overload, worker);
    this.endpoints = new EndpointDirectory(buffers.endpoints, buffers.workers + 1, worker);
  }

  /** Of a proxy that is alone. */
  static alone(limits: SharedLimits = defaultLimits): SharedState {
    return new SharedState(makeSharedBuffers(1, limits), 0);
  }

  /** After the death of a worker. */
  clear(worker: number): void {
    this.connections.clear(worker);
    this.clients.clear(worker);
    this.overload.clear(worker);
    this.endpoints.clear(worker);
  }
}
