// The runner's side of the two helper processes, and what it reads of Fairway from outside.
import { startModule, type Child } from "../lib/children.ts";
import type {
  Attack,
  AttackCommand,
  AttackReply,
  AttackResult,
  LoadCommand,
  LoadResult,
} from "./messages.ts";

export class Attackers {
  readonly #child: Child = startModule("./slow-attacks/attackers.ts", []);

  /** Returns once every connection is made. */
  async start(attack: Attack, count: number, port: number): Promise<void> {
    await this.#ask(
      { kind: "start", attack, count, port },
      (reply) => reply.kind === "under way" && reply.attack === attack,
    );
  }

  async stop(attack: Attack): Promise<AttackResult> {
    const reply = await this.#ask(
      { kind: "stop", attack },
      (each) => each.kind === "done" && each.result.attack === attack,
    );
    if (reply.kind !== "done") throw new Error("the attackers answered something else");
    return reply.result;
  }

  #ask(command: AttackCommand, isAnswer: (reply: AttackReply) => boolean): Promise<AttackReply> {
    const { process: child, died } = this.#child;
    const answer = new Promise<AttackReply>((resolve) => {
      const listen = (message: unknown): void => {
        // Our own module sends nothing else.
        const reply = message as AttackReply;
        if (!isAnswer(reply)) return;
        child.off("message", listen);
        resolve(reply);
      };
      child.on("message", listen);
    });
    child.send(command);
    return Promise.race([answer, died]);
  }
}

export class NormalClients {
  readonly #child: Child = startModule("./slow-attacks/normal-load.ts", []);

  start(port: number, rate: number, connections: number): void {
    this.#send({ kind: "start", port, rate, connections });
  }

  stop(): Promise<LoadResult> {
    const { process: child, died } = this.#child;
    const answer = new Promise<LoadResult>((resolve) => {
      // Our own module sends nothing else.
      child.once("message", (message) => resolve(message as LoadResult));
    });
    this.#send({ kind: "stop" });
    return Promise.race([answer, died]);
  }

  #send(command: LoadCommand): void {
    this.#child.process.send(command);
  }
}

/** Requests that Fairway has ended since it started because their client took nothing of the response. */
export async function stalledClients(adminPort: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const lines = text
    .split("\n")
    .filter((line) => /^fairway_refused_requests_total\{.*"downstreamStalled"/.test(line));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
