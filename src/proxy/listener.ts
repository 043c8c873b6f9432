// The listening sockets: bind, accept, TLS handshakes, and an end that loses no accepted connection.
import net from "node:net";
import tls from "node:tls";
import type { ListenerCounters } from "../metrics/proxy-metrics.ts";
import type { ConnectionLease } from "./admission/admission.ts";
import type { ProxyCore } from "./core.ts";
import type { Timed } from "./deadlines.ts";
import { reasonPhrases } from "./errors.ts";
import { ServerConnection, type ListenerInfo } from "./http1/server-connection.ts";
import type { TlsContexts } from "./tls-contexts.ts";

/** Connections that wait to be accepted. */
const backlog = 4096;

export interface ListenerOptions {
  /** Undefined: every address, IPv6 and IPv4. */
  readonly address: string | undefined;
  /** 0: a free one. */
  readonly port: number;
  /** The value of X-Forwarded-Port; 0: the bound port. */
  readonly forwardedPort: number;
  readonly counters: ListenerCounters;
  /** Other workers listen on the same address and port: the kernel gives each connection to one of them. */
  readonly isShared: boolean;
  /** Null: plain HTTP. */
  readonly tls: TlsContexts | null;
}

/** `listen` on a socket that listens changes the length of its queue, nothing else. Not documented. */
interface ServerInternals {
  readonly _handle: { listen(backlog: number): number } | null;
}

export class Listener {
  readonly #core: ProxyCore;
  readonly #options: ListenerOptions;
  readonly #server: net.Server;
  readonly #info: ListenerInfo;
  readonly #handshakes = new Set<Handshake>();

  constructor(core: ProxyCore, options: ListenerOptions) {
    this.#core = core;
    this.#options = options;
    this.#info = {
      isTls: options.tls !== null,
      forwardedPort: options.forwardedPort,
      counters: options.counters,
      connections: new Set(),
    };
    // Paused: nothing is read before the connection has a reader.
    const serverOptions = { pauseOnConnect: true, noDelay: true, keepAlive: true, allowHalfOpen: true };
    this.#server = net.createServer(serverOptions, (socket) => this.#onConnection(socket));
  }

  /** Rejects with the error of `listen`, such as EADDRINUSE. */
  async listen(): Promise<void> {
    const { address, port, isShared } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      const options = {
        port,
        backlog,
        ...(address === undefined ? {} : { host: address }),
        reusePort: isShared,
      };
      this.#server.listen(options, () => {
        this.#server.off("error", reject);
        // Running out of file descriptors must not end the process.
        this.#server.on("error", (error) => this.#core.onBug(error));
        if (this.#info.forwardedPort === 0) this.#info.forwardedPort = this.port;
        resolve();
      });
    });
  }

  /** The bound port. */
  get port(): number {
    const bound = this.#server.address();
    return bound !== null && typeof bound === "object" ? bound.port : 0;
  }

  get connections(): number {
    return this.#info.connections.size + this.#handshakes.size;
  }

  /**
   * The shortest queue there is, of one connection. Those that find it full are told nothing and try again after a
   * second, when another worker takes them, or nobody listens any more.
   */
  narrow(): void {
    const { _handle: handle } = this.#server as unknown as ServerInternals;
    handle?.listen(0);
  }

  /** No new connections. Those that exist go on. */
  stopAccepting(): void {
    this.#server.close();
  }

  /** Idle connections close now, busy ones with their response. */
  drain(): void {
    for (const connection of this.#info.connections) connection.drain();
  }

  destroy(): void {
    for (const handshake of this.#handshakes) handshake.destroy();
    for (const connection of this.#info.connections) connection.destroy();
  }

  #onConnection(socket: net.Socket): void {
    const { counters, tls: contexts } = this.#options;
    const { admission, refusals, metrics } = this.#core;
    const lease = admission.open(socket);
    if (typeof lease === "string") {
      metrics.connectionsRefused.add(lease);
      // The answer would have to wait for a handshake, which is what costs.
      if (contexts === null) refusals.tell(socket, lease);
      else socket.destroy();
      return;
    }
    counters.opened();
    if (contexts === null) {
      this.#open(socket, lease);
      return;
    }
    const handshake = new Handshake(socket, contexts, this.#core, (secured) => {
      this.#handshakes.delete(handshake);
      if (secured === null) {
        this.#core.metrics.tlsHandshakeFailures += 1;
        counters.closed();
        lease.release();
      } else this.#open(secured, lease);
    });
    this.#handshakes.add(handshake);
  }

  #open(socket: net.Socket, lease: ConnectionLease): void {
    // Its peer may be gone already; without an address there is nobody to serve.
    if (socket.destroyed || socket.remoteAddress === undefined) {
      socket.destroy();
      this.#options.counters.closed();
      lease.release();
      return;
    }
    // It registers itself with the listener.
    void new ServerConnection(this.#core, this.#info, socket, lease);
  }
}

const plainHttpText = "The plain HTTP request was sent to HTTPS port\n";

/** nginx answers so as well, with a status of its own (497) in its log. */
const plainHttpAnswer =
  `HTTP/1.1 400 ${reasonPhrases[400]}\r\nContent-Type: text/plain\r\n` +
  `Content-Length: ${plainHttpText.length}\r\nConnection: close\r\n\r\n${plainHttpText}`;

/** One TLS handshake, bounded in time. */
class Handshake implements Timed {
  deadlineAt: number;
  readonly #core: ProxyCore;
  readonly #raw: net.Socket;
  readonly #onDone: (secured: tls.TLSSocket | null) => void;
  #isDone = false;

  constructor(
    raw: net.Socket,
    contexts: TlsContexts,
    core: ProxyCore,
    onDone: (secured: tls.TLSSocket | null) => void,
  ) {
    this.#core = core;
    this.#raw = raw;
    this.#onDone = onDone;
    this.deadlineAt = core.clock.nowMs() + core.limits.handshakeTimeoutMs;
    core.deadlines.add(this);
    const socket = new tls.TLSSocket(raw, contexts.serverOptions);
    const fail = (): void => this.#finish(null);
    raw.on("error", fail);
    raw.on("close", fail);
    socket.on("error", fail);
    socket.on("close", fail);
    // A client that sends no more cannot complete a handshake; `end` comes to sockets that are read only.
    socket.on("end", fail);
    socket.resume();
    // A record that does not decrypt: a bare TLSSocket tells nobody else of it, and would stay open. Not documented.
    socket.on("_tlsError", (error: NodeJS.ErrnoException) => {
      if (error.code === "ERR_SSL_HTTP_REQUEST") this.#answerPlainHttp();
      else socket.destroy(error);
    });
    // Emitted by a wrapped server socket once the handshake is complete. Not documented; tested at every start of CI.
    socket.once("secure", () => this.#finish(socket));
  }

  onDeadline(): void {
    this.destroy();
  }

  destroy(): void {
    this.#finish(null);
  }

  /** Somebody wrote `http://` where `https://` belongs. A close without a word would tell them nothing. */
  #answerPlainHttp(): void {
    this.#raw.end(plainHttpAnswer, () => this.#finish(null));
  }

  #finish(secured: tls.TLSSocket | null): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.deadlineAt = Infinity;
    this.#core.deadlines.delete(this);
    if (secured === null) this.#raw.destroy();
    this.#onDone(secured);
  }
}
