// The process of the TLS clients, as told by handshakes.ts over IPC. Each connection ends as soon as the handshake is
// complete, by close_notify and FIN, and counts when it has closed without an error.
import { once } from "node:events";
import tls from "node:tls";
import { endWithRunner } from "./child-side.ts";
import type { HandshakeJob, HandshakeResult } from "./handshakes.ts";

const TIMEOUT_MS = 10_000;

class Clients {
  readonly #job: HandshakeJob;
  readonly #context: tls.SecureContext;
  readonly #endAt: number;
  #session: Buffer | undefined;
  #completed = 0;
  #resumed = 0;
  #failed = 0;
  #failure = "";
  #cipher = "";

  constructor(job: HandshakeJob) {
    this.#job = job;
    // Made once: a context for each connection would cost more than its handshake.
    this.#context = tls.createSecureContext({ minVersion: job.version, maxVersion: job.version });
    this.#endAt = performance.now() + job.seconds * 1000;
  }

  async run(): Promise<HandshakeResult> {
    const startedAt = performance.now();
    if (this.#job.isResuming) this.#session = await this.#firstSession();
    await Promise.all(Array.from({ length: this.#job.connections }, () => this.#client()));
    return {
      completed: this.#completed,
      resumed: this.#resumed,
      failed: this.#failed,
      failure: this.#failure,
      cipher: this.#cipher,
      seconds: (performance.now() - startedAt) / 1000,
    };
  }

  async #client(): Promise<void> {
    while (performance.now() < this.#endAt) await this.#handshake();
  }

  async #handshake(): Promise<void> {
    const socket = this.#connect(this.#session);
    if (this.#job.isResuming) {
      socket.on("session", (session) => {
        this.#session = session;
      });
    }
    try {
      await once(socket, "secureConnect");
      const isResumed = socket.isSessionReused();
      this.#cipher = socket.getCipher().name;
      socket.resume();
      socket.end();
      await once(socket, "close");
      this.#completed += 1;
      if (isResumed) this.#resumed += 1;
    } catch (error) {
      socket.on("error", () => {});
      socket.destroy();
      this.#failed += 1;
      if (this.#failure === "") this.#failure = error instanceof Error ? error.message : String(error);
    }
  }

  /** Of a connection that stays until it has been given one: TLS 1.3 sends it after the handshake. */
  async #firstSession(): Promise<Buffer> {
    const socket = this.#connect(undefined);
    const [session] = await once(socket, "session", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    socket.on("error", () => {});
    socket.destroy();
    this.#completed += 1;
    // What the event carries.
    return session as Buffer;
  }

  #connect(session: Buffer | undefined): tls.TLSSocket {
    const socket = tls.connect({
      host: "127.0.0.1",
      port: this.#job.port,
      servername: this.#job.servername,
      secureContext: this.#context,
      // Self-signed; the server's work is measured, not the client's trust.
      rejectUnauthorized: false,
      ...(session === undefined ? {} : { session }),
    });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error("no handshake in time")));
    return socket;
  }
}

process.on("message", (message) => {
  // handshakes.ts sends nothing else. A failure of `run` would end this process, which the runner sees.
  void new Clients(message as HandshakeJob).run().then((result) => process.send?.(result));
});
endWithRunner();
