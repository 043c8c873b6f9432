// Reading from sockets into one shared buffer. Ordinary `data` events allocate and shrink 64 KiB for every read, which
// costs a fifth of a proxied request's CPU (docs/decisions/001-own-http-path.md). What a reader wants to keep past its
// callback it copies.
import net from "node:net";

export const readBufferBytes = 64 * 1024;

/** Filled by whichever socket is being read; valid only inside `onBytes`. */
const sharedBuffer = Buffer.allocUnsafeSlow(readBufferBytes);

export interface ByteReader {
  /** `buffer[start, end)` was read. The buffer belongs to somebody else as soon as this returns. */
  onBytes(buffer: Buffer, start: number, end: number): void;
}

/** The `onread` option of `net.connect` and `new net.Socket` for a reader. */
export function onReadOption(reader: ByteReader): {
  buffer: Uint8Array;
  callback: (bytes: number, buffer: Uint8Array) => boolean;
} {
  return {
    buffer: sharedBuffer,
    callback(bytes) {
      reader.onBytes(sharedBuffer, 0, bytes);
      return true;
    },
  };
}

/** What `pauseOnConnect` leaves untouched: the part of a socket that can move to another one. Not documented. */
interface SocketInternals {
  _handle: unknown;
}

/**
 * Puts an accepted, still paused socket under the shared buffer: `onread` exists only for sockets that are made with
 * it, so the handle moves to a new socket. Where a Node release does not allow that, the socket itself is returned and
 * `data` events do the reading.
 */
export function adoptAccepted(accepted: net.Socket, reader: ByteReader): net.Socket {
  // The one place that touches internals. Without a handle there is nothing to move.
  const internals = accepted as unknown as SocketInternals;
  const handle = internals._handle;
  if (handle === null || handle === undefined) {
    readByEvents(accepted, reader);
    return accepted;
  }
  internals._handle = null;
  accepted.destroy();
  const options = { handle, allowHalfOpen: true, onread: onReadOption(reader) };
  const socket = new net.Socket(options as net.SocketConstructorOpts);
  socket.resume();
  return socket;
}

/** Reads by `data` events: for TLS sockets, which bring buffers of the size of a record. */
export function readByEvents(socket: net.Socket, reader: ByteReader): void {
  socket.on("data", (chunk: Buffer) => reader.onBytes(chunk, 0, chunk.length));
}
