// What the runner of the chaos benchmark and its load say to each other over IPC.

/** Of a response. */
export const CONTENT_BYTES = 1024;

export type LoadCommand =
  | { readonly kind: "start"; readonly port: number; readonly connections: number; readonly phase: string }
  | { readonly kind: "stop" };

export interface Failure {
  /** Of the request: the phase and a number. */
  readonly id: string;
  readonly method: "GET" | "POST";
  /** Milliseconds of the system's clock. */
  readonly sentAt: number;
  readonly failedAt: number;
  /** The client's end of the connection; 0: there was none. */
  readonly localPort: number;
  readonly what: string;
}

export interface LoadResult {
  readonly requests: number;
  readonly failures: readonly Failure[];
}
