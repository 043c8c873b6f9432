// One end of a raw connection in a test: writes exact bytes, reads exact messages. Every wait ends with an event of the
// socket. The message reader is a second opinion: it shares no code with the parsers under test.
import type net from "node:net";
import tls from "node:tls";

export interface Message {
  /** Request line or status line. */
  readonly startLine: string;
  /** 0 for a request. */
  readonly status: number;
  /** Field lines as they came, without CRLF. */
  readonly lines: readonly string[];
  /** The head as it came, its empty line included. */
  readonly head: string;
  readonly content: Buffer;
  /** Chunked, or up to the end of the connection. */
  readonly framing: "none" | "length" | "chunked" | "close";
  readonly trailers: readonly string[];
  /** Values of a field, by any case of its name. */
  all(name: string): readonly string[];
  /** The only value of a field; undefined: absent. Throws when it is there twice. */
  field(name: string): string | undefined;
}

type Check = () => boolean;

/** How long a wait may take before the test fails with a name for what it waited for. Nothing sleeps that long. */
const patienceMs = 8_000;

export class Peer {
  readonly socket: net.Socket;
  readonly name: string;
  /** The other side said that it sends no more. */
  isEnded = false;
  isClosed = false;
  /** What the socket failed with; a reset by the other side is `ECONNRESET`. */
  error = "";
  bytesReceived = 0;
  /** The test knows of the end of this connection. */
  mayEnd = false;
  #chunks: Buffer[] = [];
  #length = 0;
  readonly #waiting = new Set<Check>();

  constructor(socket: net.Socket, name: string) {
    this.socket = socket;
    this.name = name;
    socket.on("data", (chunk: Buffer) => {
      this.bytesReceived += chunk.length;
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#wake();
    });
    socket.on("end", () => {
      this.isEnded = true;
      this.#wake();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
      this.#wake();
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.#wake();
    });
    socket.on("drain", () => this.#wake());
  }

  /** Latin1 text, or bytes. */
  write(data: string | Buffer): void {
    this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data);
  }

  /** Writes, and waits until the kernel has everything. */
  async writeAll(data: string | Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data, (error) =>
        error === null || error === undefined ? resolve() : reject(error),
      );
    });
  }

  end(data = ""): void {
    this.socket.end(Buffer.from(data, "latin1"));
  }

  destroy(): void {
    this.mayEnd = true;
    this.socket.destroy();
  }

  /** Closes with RST. */
  reset(): void {
    this.mayEnd = true;
    // A TLS socket has no such thing: its connection just ends.
    if (this.socket instanceof tls.TLSSocket) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  /** Waits for `check`, which is asked again at every event of the socket. */
  async until(what: string, check: Check): Promise<void> {
    if (check()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        reject(new Error(`${this.name}: waited too long for ${what}; ${this.#state()}`));
      }, patienceMs);
      const wake: Check = () => {
        if (!check()) return false;
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
        return true;
      };
      this.#waiting.add(wake);
    });
  }

  /** Exactly `count` bytes. */
  async bytes(count: number): Promise<Buffer> {
    await this.#available(`${count} bytes`, () => this.#length >= count);
    return this.#take(count);
  }

  /** Everything up to and including `pattern`. */
  async through(pattern: string): Promise<string> {
    let at = -1;
    await this.#available(JSON.stringify(pattern), () => {
      at = this.#joined().indexOf(pattern, 0, "latin1");
      return at >= 0;
    });
    return this.#take(at + pattern.length).toString("latin1");
  }

  /** Everything up to an orderly end. */
  async toEnd(): Promise<string> {
    this.mayEnd = true;
    await this.until("the end", () => this.isEnded || this.isClosed);
    if (!this.isEnded) throw new Error(`${this.name}: no orderly end; ${this.#state()}`);
    return this.#take(this.#length).toString("latin1");
  }

  /** Everything up to the end of the connection, in order or not. */
  async toClose(): Promise<string> {
    this.mayEnd = true;
    await this.until("the close", () => this.isEnded || this.isClosed);
    return this.#take(this.#length).toString("latin1");
  }

  /** Waits until the socket is closed on both sides. */
  async closed(): Promise<void> {
    this.mayEnd = true;
    await this.until("the close", () => this.isClosed);
  }

  /** Waits until the other side has ended the connection, in order or not. */
  async gone(): Promise<void> {
    this.mayEnd = true;
    await this.until("the other side to go", () => this.isEnded || this.isClosed);
  }

  /** What came and nobody read yet. */
  get unread(): string {
    return this.#joined().toString("latin1");
  }

  async request(): Promise<Message> {
    const head = await this.#head();
    return this.#finish(head, head.framing === "close" ? "none" : head.framing);
  }

  /** Only the head of a request or response, its content stays unread. */
  async headOnly(): Promise<Message> {
    return this.#head();
  }

  /** One response, interim ones included, to a request with `method`. */
  async response(method = "GET"): Promise<Message> {
    const head = await this.#head();
    const { status } = head;
    const isBare = method === "HEAD" || status < 200 || status === 204 || status === 304;
    if (head.field("connection") === "close") this.mayEnd = true;
    return this.#finish(head, isBare ? "none" : head.framing);
  }

  async #head(): Promise<Message> {
    const head = await this.through("\r\n\r\n");
    const [startLine = "", ...lines] = head.slice(0, -4).split("\r\n");
    const fields = lines.map((line) => {
      const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line);
      if (match === null) throw new Error(`${this.name}: not a field line: ${JSON.stringify(line)}`);
      return [match[1]!.toLowerCase(), match[2]!] as const;
    });
    const all = (name: string): readonly string[] =>
      fields.filter(([each]) => each === name.toLowerCase()).map(([, value]) => value);
    const field = (name: string): string | undefined => {
      const values = all(name);
      if (values.length > 1) throw new Error(`${this.name}: ${name} is there ${values.length} times`);
      return values[0];
    };
    const status = startLine.startsWith("HTTP/") ? Number(startLine.split(" ")[1]) : 0;
    const isChunked = field("transfer-encoding") !== undefined;
    const hasLength = field("content-length") !== undefined;
    if (isChunked && hasLength) throw new Error(`${this.name}: two framings: ${head}`);
    const framing = isChunked ? "chunked" : hasLength ? "length" : "close";
    return {
      startLine,
      status,
      lines,
      head,
      content: Buffer.alloc(0),
      framing,
      trailers: [],
      all,
      field,
    };
  }

  async #finish(head: Message, framing: Message["framing"]): Promise<Message> {
    if (framing === "none") return { ...head, framing };
    if (framing === "length") {
      return { ...head, framing, content: await this.bytes(Number(head.field("content-length"))) };
    }
    if (framing === "close") {
      return { ...head, framing, content: Buffer.from(await this.toEnd(), "latin1") };
    }
    const pieces: Buffer[] = [];
    for (;;) {
      const line = await this.through("\r\n");
      if (!/^[0-9a-f]+\r\n$/.test(line)) throw new Error(`${this.name}: not a chunk size: ${line}`);
      const size = Number.parseInt(line, 16);
      if (size === 0) break;
      pieces.push(await this.bytes(size));
      if ((await this.bytes(2)).toString("latin1") !== "\r\n") throw new Error(`${this.name}: chunk end`);
    }
    const trailers: string[] = [];
    for (;;) {
      const line = await this.through("\r\n");
      if (line === "\r\n") break;
      trailers.push(line.slice(0, -2));
    }
    return { ...head, framing, content: Buffer.concat(pieces), trailers };
  }

  async #available(what: string, check: Check): Promise<void> {
    await this.until(what, () => check() || this.isEnded || this.isClosed);
    if (!check()) {
      this.mayEnd = true;
      throw new Error(`${this.name}: ended before ${what}; ${this.#state()}`);
    }
  }

  #joined(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  #take(count: number): Buffer {
    const all = this.#joined();
    this.#chunks = count < all.length ? [all.subarray(count)] : [];
    this.#length = all.length - count;
    return all.subarray(0, count);
  }

  #state(): string {
    const text = this.#joined().subarray(0, 400).toString("latin1");
    return `ended ${this.isEnded}, closed ${this.isClosed}, error ${this.error}, unread ${JSON.stringify(text)}`;
  }

  #wake(): void {
    for (const check of this.#waiting) check();
  }
}
