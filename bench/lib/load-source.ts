// Which program makes the load. Autocannon does, unless it cannot make enough for the proxies to be the bottleneck.
import { Autocannon } from "./autocannon.ts";
import type { LoadSource } from "./load.ts";
import type { Measurement, Rounds } from "./measure.ts";
import { Wrk } from "./wrk.ts";

export const LOAD_CHOICES = ["auto", "autocannon", "wrk"] as const;
export type LoadChoice = (typeof LOAD_CHOICES)[number];

export interface ChosenLoad {
  readonly source: LoadSource;
  /** For the result: which one, and why. */
  readonly text: string;
}

/** `probe`: a round of one measurement of each peer. With "auto" it is made with autocannon first. */
export async function chooseLoad(
  choice: LoadChoice,
  probe: (source: LoadSource) => Promise<Rounds<Measurement>>,
): Promise<ChosenLoad> {
  if (choice === "wrk") {
    const wrk = Wrk.find();
    if (wrk === undefined) throw new Error("--load wrk: it is not installed");
    return { source: wrk, text: `wrk ${wrk.version}, as asked for` };
  }
  const autocannon = new Autocannon();
  const text = `autocannon ${autocannon.version}`;
  if (choice === "autocannon") return { source: autocannon, text: `${text}, as asked for` };
  // Both have one thread that works: the one that takes more CPU is the one that the other waits for.
  const limited = [...(await probe(autocannon))].flatMap(([name, [first]]) =>
    first !== undefined && first.loadShare > first.proxyShare ? [{ name, ...first }] : [],
  );
  if (limited.length === 0) return { source: autocannon, text };
  const figures = limited.map(
    ({ name, loadShare, proxyShare }) => `${name} ${percent(loadShare)} against ${percent(proxyShare)}`,
  );
  const found = `autocannon was the bottleneck (its share of a CPU against the proxy's: ${figures.join(", ")})`;
  const wrk = Wrk.find();
  if (wrk === undefined) return { source: autocannon, text: `${text}; ${found}, and wrk is not installed` };
  return { source: wrk, text: `wrk ${wrk.version}: in the trial round ${found}` };
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
