// What must be right across workers, in memory that all of them see. A proxy without workers has the same for itself.
import { ConnectionTotal } from "./connection-total.ts";
import { EndpointDirectory, makeDirectoryBuffers, type DirectoryBuffers } from "./endpoint-directory.ts";

/** What is sent to a worker when it starts. */
export interface SharedBuffers {
  readonly connections: SharedArrayBuffer;
  readonly endpoints: DirectoryBuffers;
  readonly workers: number;
}

/** The thread that owns the workers takes the number `workers`: it has cells, and no connections or requests. */
export function makeSharedBuffers(workers: number): SharedBuffers {
  return {
    connections: new SharedArrayBuffer((workers + 1) * Int32Array.BYTES_PER_ELEMENT),
    endpoints: makeDirectoryBuffers(workers + 1),
    workers,
  };
}

export class SharedState {
  readonly connections: ConnectionTotal;
  readonly endpoints: EndpointDirectory;

  /** `worker` counts from 0. */
  constructor(buffers: SharedBuffers, worker: number) {
    this.connections = new ConnectionTotal(buffers.connections, worker);
    this.endpoints = new EndpointDirectory(buffers.endpoints, buffers.workers + 1, worker);
  }

  /** Of a proxy that is alone. */
  static alone(): SharedState {
    return new SharedState(makeSharedBuffers(1), 0);
  }

  /** After the death of a worker. */
  clear(worker: number): void {
    this.connections.clear(worker);
    this.endpoints.clear(worker);
  }
}
