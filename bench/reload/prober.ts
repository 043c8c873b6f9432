// Watches from outside, as a client would, until an edit is live. It knows nothing of Fairway's insides, and runs in
// the process that writes the files, so that both times come from one clock.
import { once } from "node:events";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { PLAIN_HOST, TLS_HOST, type Probe } from "./scene.ts";

/** From one probe to the next, unless the answer takes longer. */
const INTERVAL_MS = 2;
/** An edit that is not live by then counts as failed. */
const LIVE_TIMEOUT_MS = 5_000;
const PROBE_TIMEOUT_MS = 10_000;

export class Prober {
  readonly #httpPort: number;
  readonly #httpsPort: number;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  /** What went wrong with probes: they are requests like any other and must not fail. */
  readonly failures: string[] = [];
  probes = 0;

  constructor(ports: { readonly httpPort: number; readonly httpsPort: number }) {
    this.#httpPort = ports.httpPort;
    this.#httpsPort = ports.httpsPort;
  }

  /**
   * Time from `sinceMs` (of performance.now) to the arrival of the first answer that shows the edit; it includes the
   * time of that answer itself. Undefined: not live within 5 s.
   */
  async untilLive(probe: Probe, sinceMs: number): Promise<number | undefined> {
    for (;;) {
      const startedAt = performance.now();
      const isLive = await this.isLive(probe);
      const now = performance.now();
      if (isLive) return now - sinceMs;
      if (now - sinceMs > LIVE_TIMEOUT_MS) return undefined;
      const waitMs = INTERVAL_MS - (now - startedAt);
      if (waitMs > 0) await sleep(waitMs);
    }
  }

  async isLive(probe: Probe): Promise<boolean> {
    this.probes += 1;
    try {
      if (probe.kind === "backend") return (await this.#backendOf(probe.path)) === probe.name;
      return (await this.#fingerprint()) === probe.fingerprint;
    } catch (error) {
      this.failures.push(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #backendOf(path: string): Promise<string | string[] | undefined> {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const headers = { host: PLAIN_HOST };
    const request = http.get({
      host: "127.0.0.1",
      port: this.#httpPort,
      path,
      headers,
      signal,
      agent: this.#agent,
    });
    // `once` rejects on "error"; the event's arguments are typed as unknown.
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    response.resume();
    await once(response, "end");
    if (response.statusCode !== 200) throw new Error(`GET ${path}: ${response.statusCode}`);
    return response.headers["x-backend"];
  }

  /** Of the certificate that a new connection is shown. */
  async #fingerprint(): Promise<string | undefined> {
    const socket = tls.connect({
      host: "127.0.0.1",
      port: this.#httpsPort,
      servername: TLS_HOST,
      // Self-signed; which one it is, is the question.
      rejectUnauthorized: false,
    });
    try {
      await once(socket, "secureConnect", { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
      return socket.getPeerX509Certificate()?.fingerprint256;
    } finally {
      socket.on("error", () => {});
      socket.destroy();
    }
  }
}
