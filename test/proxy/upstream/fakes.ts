// Endpoints without sockets, for tests of balancers.
import type { EndpointIr } from "../../../src/ir/routing.ts";
import type { BalancedEndpoint, EndpointSource } from "../../../src/proxy/upstream/balancer/balancer.ts";
import { Latency } from "../../../src/proxy/upstream/latency.ts";

export class FakeEndpoint implements BalancedEndpoint {
  readonly address: string;
  readonly key: string;
  readonly latency = new Latency();
  active = 0;
  failedCheck = false;
  ejectedAtMs = 0;
  trialAtMs = 0;
  holders = 0;
  readonly #source: FakeSource;
  #isUsable = true;

  constructor(address: string, source: FakeSource) {
    this.address = address;
    this.key = `${address}:80`;
    this.#source = source;
  }

  get isUsable(): boolean {
    return this.#isUsable && !this.failedCheck;
  }

  /** False: it is ejected, and no trial is due. */
  set isUsable(value: boolean) {
    this.#isUsable = value;
    this.#source.changes += 1;
  }

  get isEjected(): boolean {
    return !this.#isUsable;
  }
}

export class FakeSource implements EndpointSource<FakeEndpoint> {
  changes = 0;
  readonly #made = new Map<string, FakeEndpoint>();

  get(address: string): FakeEndpoint {
    const endpoint = this.#made.get(address) ?? new FakeEndpoint(address, this);
    this.#made.set(address, endpoint);
    return endpoint;
  }

  acquire({ address }: EndpointIr): FakeEndpoint {
    const endpoint = this.get(address);
    endpoint.holders += 1;
    return endpoint;
  }

  release(endpoint: FakeEndpoint): void {
    endpoint.holders -= 1;
  }

  held(): string[] {
    return [...this.#made.values()].filter(({ holders }) => holders > 0).map(({ address }) => address);
  }
}

/** `a:5` is an endpoint `a` with weight 5; the weight is 1 when left out. */
export const parseEndpoints = (text: string): EndpointIr[] =>
  text
    .split(" ")
    .filter((each) => each !== "")
    .map((each) => {
      const [address = "", weight = "1"] = each.split(":");
      return { address, port: 80, weight: Number(weight) };
    });

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}
