// The process that makes load at a fixed rate, as told by open-loop.ts over IPC. It must cost little, as it shares the
// CPUs with what it measures: raw sockets, one prepared request, one reading buffer, no objects for each request.
import net from "node:net";
import { Worker } from "node:worker_threads";
import { endWithRunner } from "./child-side.ts";
import { TICK_US, type OpenLoopJob, type OpenLoopResult } from "./open-loop.ts";
import { ResponseReader } from "./response-reader.ts";
import { LatencyHistogram } from "./statistics.ts";

/** Before the first request is due: for connections to be made and for the metronome to start. */
const START_MS = 200;
/** After the last request was due, for answers that are under way. */
const GRACE_MS = 1_000;
/** An answer that much after the end is no sign of requests that pile up. */
const IN_TIME_MS = 50;
/** All connections read into it; nothing keeps a view of it. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Node's timers have a grain of a millisecond. A thread that waits on a futex wakes within a tenth of that, and its
 * message wakes the event loop.
 */
const METRONOME = `
const { parentPort, workerData } = require("node:worker_threads");
const cell = new Int32Array(new SharedArrayBuffer(4));
const { startNs, tickMs, ticks } = workerData;
for (let tick = 1; tick <= ticks; tick += 1) {
  const leftMs = tick * tickMs - (Number(process.hrtime.bigint()) - startNs) / 1e6;
  if (leftMs > 0) Atomics.wait(cell, 0, 0, leftMs);
  parentPort.postMessage(0);
}
`;

interface Connection {
  socket: net.Socket;
  reader: ResponseReader;
  /** When the request under way was due; -1 when there is none. */
  dueAt: number;
  isConnected: boolean;
}

class Run {
  readonly #job: OpenLoopJob;
  readonly #request: string;
  readonly #latencies = new LatencyHistogram();
  readonly #lateness = new LatencyHistogram();
  readonly #connections = new Set<Connection>();
  /** First in, first out, so that all connections are used alike. */
  readonly #idle: Connection[] = [];
  readonly #countsFrom: number;
  readonly #startedAt: number;
  readonly #endAt: number;
  /** Of all requests so far that have been sent; the next to be sent is this number. */
  #sent = 0;
  #ticks = 0;
  #due = 0;
  #answered = 0;
  #answeredInTime = 0;
  #answeredInAll = 0;
  #failed = 0;
  #maxMs = 0;
  #isEnding = false;

  constructor(job: OpenLoopJob, startedAt: number) {
    this.#job = job;
    this.#request = `GET ${job.path} HTTP/1.1\r\nHost: ${job.host}\r\n\r\n`;
    this.#startedAt = startedAt;
    this.#countsFrom = this.#startedAt + job.warmUpSeconds * 1000;
    this.#endAt = this.#startedAt + (job.warmUpSeconds + job.seconds) * 1000;
    for (let index = 0; index < job.connections; index += 1) this.#connect();
  }

  tick(): void {
    this.#ticks += 1;
    const now = performance.now();
    if (now >= this.#countsFrom)
      this.#lateness.recordMs(now - this.#startedAt - (this.#ticks * TICK_US) / 1000);
    this.#sendDue(now);
  }

  end(): OpenLoopResult {
    this.#isEnding = true;
    for (const { socket } of this.#connections) socket.destroy();
    // What was due and could not even be sent counts as due.
    const inTime = Math.round(this.#job.rate * this.#job.seconds);
    this.#due = Math.max(this.#due, inTime);
    return {
      due: this.#due,
      answered: this.#answered,
      answeredInTime: this.#answeredInTime,
      failed: this.#failed,
      p50Ms: this.#latencies.quantileMs(0.5),
      p99Ms: this.#latencies.quantileMs(0.99),
      p999Ms: this.#latencies.quantileMs(0.999),
      maxMs: this.#maxMs,
      answeredInAll: this.#answeredInAll,
      lateP99Ms: this.#lateness.quantileMs(0.99),
    };
  }

  /** Requests are due in groups, at the tick after their share of a second. */
  #dueAt(number: number): number {
    const ticks = Math.ceil(((number + 1) * 1e6) / this.#job.rate / TICK_US - 1e-9);
    return this.#startedAt + (ticks * TICK_US) / 1000;
  }

  #sendDue(now: number): void {
    while (this.#idle.length > 0) {
      const dueAt = this.#dueAt(this.#sent);
      if (dueAt > now || dueAt >= this.#endAt) return;
      const connection = this.#idle.shift();
      if (connection === undefined) return;
      this.#sent += 1;
      connection.dueAt = dueAt;
      if (dueAt >= this.#countsFrom) this.#due += 1;
      connection.socket.write(this.#request, "latin1");
    }
  }

  #connect(): void {
    // All fields are set before the first event.
    const connection = { dueAt: -1, isConnected: false, reader: new ResponseReader() } as Connection;
    const onread = {
      buffer: readBuffer,
      callback: (bytes: number): boolean => {
        this.#read(connection, bytes);
        return true;
      },
    };
    const { port } = this.#job;
    connection.socket = net.connect({ host: "127.0.0.1", port, noDelay: true, onread });
    this.#connections.add(connection);
    connection.socket.on("connect", () => {
      connection.isConnected = true;
      this.#idle.push(connection);
      this.#sendDue(performance.now());
    });
    connection.socket.on("error", () => connection.socket.destroy());
    connection.socket.on("close", () => this.#closed(connection));
  }

  #read(connection: Connection, bytes: number): void {
    if (!connection.reader.read(readBuffer, bytes)) return;
    const { isGood, isLast } = connection.reader;
    const now = performance.now();
    const { dueAt } = connection;
    connection.dueAt = -1;
    if (dueAt < 0 || !isGood) this.#failed += 1;
    this.#answeredInAll += 1;
    if (dueAt >= this.#countsFrom) {
      this.#answered += 1;
      if (now <= this.#endAt + IN_TIME_MS) this.#answeredInTime += 1;
      this.#latencies.recordMs(now - dueAt);
      this.#maxMs = Math.max(this.#maxMs, now - dueAt);
    }
    if (isLast || dueAt < 0) {
      connection.socket.destroy();
      return;
    }
    this.#idle.push(connection);
    this.#sendDue(now);
  }

  /** Proxies end connections after so many requests: another takes its place. */
  #closed(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#isEnding) return;
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    if (connection.dueAt >= 0 || !connection.isConnected) this.#failed += 1;
    if (connection.isConnected) this.#connect();
  }
}

function start(job: OpenLoopJob): void {
  const startNs = Number(process.hrtime.bigint()) + START_MS * 1e6;
  const run = new Run(job, performance.now() + START_MS);
  const ticks = Math.ceil(((job.warmUpSeconds + job.seconds) * 1e6) / TICK_US) + 1;
  const workerData = { startNs, tickMs: TICK_US / 1000, ticks };
  const metronome = new Worker(METRONOME, { eval: true, workerData });
  metronome.on("message", () => run.tick());
  // A metronome that fails would be a wrong measurement: this process ends with it, and the runner says so.
  metronome.on("error", (error) => {
    throw error;
  });
  metronome.on("exit", () => {
    setTimeout(() => process.send?.(run.end()), GRACE_MS);
  });
}

process.on("message", (message) => {
  // open-loop.ts sends nothing else.
  start(message as OpenLoopJob);
});
endWithRunner();
