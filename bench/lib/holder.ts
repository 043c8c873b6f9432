// Idle connections: each has carried one request and sends nothing more. Held by a process of its own: holder-process.ts.
import { openFilesLimit } from "../../src/proxy/machine.ts";
import { startModule, type Child } from "./children.ts";

/** Fairway takes as many connections of clients as two fifths of its descriptors, nginx and the holder one for each. */
const DESCRIPTORS_PER_CONNECTION = 2.5;
/** Of the load beside it, and whatever else is open. */
const DESCRIPTORS_BESIDE = 1_000;

export interface HolderCommand {
  /** Connections to hold from now on; 0: all are closed. */
  readonly count: number;
  readonly port: number;
  readonly isTls: boolean;
  /** Of the one request. */
  readonly host: string;
  readonly path: string;
}

/** Open, in the end. Fewer than asked for: some could not be made or were ended. */
export interface HolderReply {
  readonly open: number;
}

/** Throws, saying what to do, when this shell does not allow so many connections to one process. */
export function requireDescriptors(connections: number): void {
  const needed = connections * DESCRIPTORS_PER_CONNECTION + DESCRIPTORS_BESIDE;
  const found = openFilesLimit();
  if (found < needed) {
    throw new Error(
      `${connections} connections need ${needed} file descriptors, ${found} are allowed: ulimit -n ${needed}`,
    );
  }
}

export class Holder {
  readonly #child: Child = startModule("./lib/holder-process.ts", []);

  /** Returns once every request is answered. Throws, with the name of `peer`, when not all are open. */
  async hold(peer: string, command: HolderCommand): Promise<void> {
    const answer = new Promise<HolderReply>((resolve) => {
      // Our own module sends nothing else.
      this.#child.process.once("message", (message) => resolve(message as HolderReply));
    });
    this.#child.process.send(command);
    const { open } = await Promise.race([answer, this.#child.died]);
    if (open !== command.count) throw new Error(`${peer}: ${open} of ${command.count} connections are open`);
  }
}
