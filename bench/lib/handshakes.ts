// TLS clients that make one connection after the other, only to shake hands; in a process of their own:
// handshakes-process.ts.
import { startModule, type Child } from "./children.ts";

export const TLS_VERSIONS = ["TLSv1.3", "TLSv1.2"] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

export interface HandshakeJob {
  readonly port: number;
  /** SNI, as browsers send it. */
  readonly servername: string;
  readonly version: TlsVersion;
  /** Connections at a time. */
  readonly connections: number;
  readonly seconds: number;
  /** Whether to offer the session of an earlier connection. */
  readonly isResuming: boolean;
}

export interface HandshakeResult {
  readonly completed: number;
  /** Of these, those that took up an earlier session. */
  readonly resumed: number;
  readonly failed: number;
  /** What went wrong first; "" for nothing. */
  readonly failure: string;
  readonly cipher: string;
  readonly seconds: number;
}

export class Handshakes {
  readonly #child: Child = startModule("./lib/handshakes-process.ts", []);

  /** One at a time. */
  run(job: HandshakeJob): Promise<HandshakeResult> {
    const { process: child, died } = this.#child;
    const answer = new Promise<HandshakeResult>((resolve) => {
      // Our own module sends nothing else.
      child.once("message", (message) => resolve(message as HandshakeResult));
    });
    child.send(job);
    return Promise.race([answer, died]);
  }
}
