// The attackers, all in one process: connections that are cheap to hold and are meant to be dear to serve.
import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { endWithRunner } from "../lib/child-side.ts";
import { HOST } from "../lib/peers.ts";
import {
  ARRIVAL_SECONDS,
  LARGE_PATH,
  type Attack,
  type AttackCommand,
  type AttackReply,
  type AttackResult,
} from "./messages.ts";

/** At least, between two groups of arrivals: groups are small, so that none is a burst. */
const ARRIVAL_MS = 10;
/** Each attacker dribbles one byte a second; a tenth of them at a time. */
const DRIBBLE_MS = 100;
const DRIBBLE_PARTS = 10;

const openings: Readonly<Record<Attack, string>> = {
  slowloris: `GET / HTTP/1.1\r\nHost: ${HOST}\r\nX-Slow: `,
  "slow bodies": `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 100000\r\n\r\n`,
  "slow readers": `GET ${LARGE_PATH} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`,
  idle: `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`,
};

class Attacker {
  readonly socket: net.Socket;
  readonly isOpen: Promise<boolean>;
  /** NaN: the other side has not ended it. */
  cutAfterSeconds = Number.NaN;
  status = "none";
  #clockAt = 0;

  constructor(attack: Attack, port: number) {
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket = socket;
    this.isOpen = once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.on("connect", () => {
      this.#clockAt = performance.now();
      socket.write(openings[attack]);
    });
    socket.on("data", (chunk: Buffer) => {
      if (attack === "slow readers") {
        // From here on it takes nothing.
        socket.pause();
        return;
      }
      this.status = /^HTTP\/1\.1 (\d{3})/.exec(chunk.toString("latin1", 0, 12))?.[1] ?? this.status;
      // The time without a request begins with the end of the answer.
      if (attack === "idle") this.#clockAt = performance.now();
    });
    socket.on("error", () => this.#onEnd());
    socket.on("end", () => this.#onEnd());
  }

  #onEnd(): void {
    if (Number.isNaN(this.cutAfterSeconds)) this.cutAfterSeconds = (performance.now() - this.#clockAt) / 1000;
  }

  dribble(): void {
    if (this.socket.writable && Number.isNaN(this.cutAfterSeconds)) this.socket.write("a");
  }
}

class Running {
  readonly attackers: Attacker[] = [];
  failed = 0;
  readonly #attack: Attack;
  #timer: NodeJS.Timeout | undefined;
  #part = 0;

  constructor(attack: Attack) {
    this.#attack = attack;
  }

  async start(count: number, port: number): Promise<void> {
    if (this.#attack === "slowloris" || this.#attack === "slow bodies") {
      this.#timer = setInterval(() => this.#dribble(), DRIBBLE_MS);
    }
    const batch = Math.ceil((count * ARRIVAL_MS) / (ARRIVAL_SECONDS * 1000));
    const pauseMs = (ARRIVAL_SECONDS * 1000 * batch) / count;
    for (let made = 0; made < count; made += batch) {
      const size = Math.min(batch, count - made);
      const arrived = Array.from({ length: size }, () => new Attacker(this.#attack, port));
      const isOpen = await Promise.all(arrived.map((each) => each.isOpen));
      this.failed += isOpen.filter((each) => !each).length;
      this.attackers.push(...arrived.filter((_, i) => isOpen[i]));
      await sleep(pauseMs);
    }
  }

  stop(): AttackResult {
    clearInterval(this.#timer);
    const statuses: Record<string, number> = {};
    const cut = this.attackers.filter(({ cutAfterSeconds }) => !Number.isNaN(cutAfterSeconds));
    for (const { status } of cut) statuses[status] = (statuses[status] ?? 0) + 1;
    for (const { socket } of this.attackers) socket.resetAndDestroy();
    return {
      attack: this.#attack,
      opened: this.attackers.length,
      failed: this.failed,
      cutSeconds: cut.map(({ cutAfterSeconds }) => cutAfterSeconds),
      statuses,
    };
  }

  #dribble(): void {
    this.#part = (this.#part + 1) % DRIBBLE_PARTS;
    for (let i = this.#part; i < this.attackers.length; i += DRIBBLE_PARTS) this.attackers[i]?.dribble();
  }
}

const running = new Map<Attack, Running>();

function reply(message: AttackReply): void {
  process.send?.(message);
}

process.on("message", (message) => {
  // The runner sends nothing else.
  const command = message as AttackCommand;
  const { attack } = command;
  if (command.kind === "start") {
    const started = new Running(attack);
    running.set(attack, started);
    // A failure would end this process, which the runner sees.
    void started.start(command.count, command.port).then(() => reply({ kind: "under way", attack }));
  } else {
    const result = running.get(attack)?.stop();
    running.delete(attack);
    if (result !== undefined) reply({ kind: "done", result });
  }
});
endWithRunner();
