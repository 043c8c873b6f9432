// A client over TLS that also sees the records: whether a connection ended with the closing alert, or was cut (RFC 8446,
// 6.1), and that can send what no TLS library sends.
import type net from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { Peer } from "./peer.ts";

const headerBytes = 5;
const alertType = 21;
/** An alert is encrypted in TLS 1.3: two bytes, the type, and the tag of AES-GCM and ChaCha20-Poly1305. */
const encryptedAlertBytes = 19;
const applicationDataType = 23;

/** What is between a TLS client and the wire. */
class RecordTap extends Duplex {
  /** What is written from now on is kept here instead of being sent. */
  held: Buffer[] | null = null;
  isLastAlert = false;
  readonly #raw: net.Socket;
  /** Bytes of the current record that are still to come, and the part of its header that has come. */
  #rest = 0;
  #header = Buffer.alloc(0);

  constructor(raw: net.Socket) {
    super({ allowHalfOpen: true });
    this.#raw = raw;
    raw.on("data", (chunk: Buffer) => {
      this.#scan(chunk);
      if (!this.push(chunk)) raw.pause();
    });
    raw.on("end", () => this.push(null));
    raw.on("error", (error) => this.destroy(error));
    raw.on("close", () => this.destroy());
  }

  override _read(): void {
    this.#raw.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.held === null) this.#raw.write(chunk, done);
    else {
      this.held.push(chunk);
      done();
    }
  }

  override _final(done: () => void): void {
    this.#raw.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#raw.destroy();
    done(error);
  }

  #scan(chunk: Buffer): void {
    let pos = 0;
    while (pos < chunk.length) {
      if (this.#rest === 0) {
        const taken = Math.min(headerBytes - this.#header.length, chunk.length - pos);
        this.#header = Buffer.concat([this.#header, chunk.subarray(pos, pos + taken)]);
        pos += taken;
        if (this.#header.length < headerBytes) return;
        this.#rest = this.#header.readUInt16BE(3);
        const type = this.#header[0];
        this.isLastAlert =
          type === alertType || (type === applicationDataType && this.#rest === encryptedAlertBytes);
        this.#header = Buffer.alloc(0);
      }
      const taken = Math.min(this.#rest, chunk.length - pos);
      this.#rest -= taken;
      pos += taken;
    }
  }
}

export class TlsPeer extends Peer {
  readonly #raw: net.Socket;
  readonly #tap: RecordTap;
  #isReset = false;

  private constructor(raw: net.Socket, tap: RecordTap, socket: tls.TLSSocket, name: string) {
    super(socket, name);
    this.#raw = raw;
    this.#tap = tap;
  }

  static over(raw: net.Socket, name: string, options: tls.ConnectionOptions = {}): TlsPeer {
    const tap = new RecordTap(raw);
    const socket = tls.connect({ socket: tap, rejectUnauthorized: false, ...options });
    return new TlsPeer(raw, tap, socket, name);
  }

  /** The other side has ended the connection without saying that this is the end. */
  get isCut(): boolean {
    return (this.isEnded || this.isClosed) && !this.#isReset && !this.#tap.isLastAlert;
  }

  override reset(): void {
    this.mayEnd = true;
    this.#isReset = true;
    this.#raw.resetAndDestroy();
    this.socket.destroy();
  }

  /** The records of `text`, which are not sent. What is written later is lost. */
  async recordsOf(text: string): Promise<Buffer> {
    this.#tap.held = [];
    await this.writeAll(text);
    return Buffer.concat(this.#tap.held);
  }

  /** Straight onto the wire. */
  writeRaw(bytes: Buffer): void {
    this.#raw.write(bytes);
  }

  /** FIN without the closing alert. */
  cut(): void {
    this.mayEnd = true;
    this.#raw.end();
  }
}
