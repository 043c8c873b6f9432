// Passive health: what the data path learns of an endpoint by connecting to it, shared by all routes and upstreams.
// Outlives snapshots; an endpoint is forgotten when the last upstream that has it lets it go.
import type { EndpointIr } from "../../ir/routing.ts";
import type { Clock } from "../../util/clock.ts";
import type { BalancedEndpoint, EndpointSource } from "./balancer/balancer.ts";
import { Latency } from "./latency.ts";

export interface HealthOptions {
  /** Connection failures in a row, without a success between them, that eject an endpoint. */
  readonly failuresMax: number;
  /** Time out after the first ejection; doubles with each one that follows without a success. */
  readonly backOffMinMs: number;
  readonly backOffMaxMs: number;
  /** A trial without an outcome after this time is taken for lost, and another may start. */
  readonly trialMaxMs: number;
}

export const defaultHealthOptions: HealthOptions = {
  failuresMax: 3,
  backOffMinMs: 1_000,
  backOffMaxMs: 60_000,
  trialMaxMs: 10_000,
};

/** `trial`: the time out is over, and one attempt at a time finds out whether the endpoint is back. */
export type HealthState = "healthy" | "ejected" | "trial";

/** For people: the admin page and its JSON. */
export interface HealthReport {
  readonly key: string;
  readonly state: HealthState;
  /** Since when it has been healthy, or has not, as an age. */
  readonly forMs: number;
  /** The last failure; empty when a success followed it. */
  readonly reason: string;
  readonly failuresInARow: number;
  readonly ejectionsTotal: number;
  /** Until the next trial; 0 when healthy or on trial. */
  readonly trialInMs: number;
}

/** `10.0.0.1:80`, `[fd00::1]:80`: what endpoints are known by. */
export function endpointKey(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * One endpoint. An attempt is announced with `started`; it may bring `succeeded`, `failed` or `abandoned`, and it is over
 * with `finished`.
 */
export class EndpointHealth implements BalancedEndpoint {
  readonly key: string;
  readonly address: string;
  readonly port: number;
  readonly latency = new Latency();
  readonly #clock: Clock;
  readonly #options: HealthOptions;
  #active = 0;
  #failuresInARow = 0;
  /** Ejections without a success between them; 0: healthy. */
  #level = 0;
  #ejectionsTotal = 0;
  #sinceMs: number;
  #trialAtMs = 0;
  /** Until then a trial is under way; in the past: none. */
  #trialEndsAtMs = 0;
  #reason = "";

  constructor(address: string, port: number, clock: Clock, options: HealthOptions) {
    this.key = endpointKey(address, port);
    this.address = address;
    this.port = port;
    this.#clock = clock;
    this.#options = options;
    this.#sinceMs = clock.nowMs();
  }

  /** May be given requests while others could take them. While a trial is under way: no. */
  get isUsable(): boolean {
    return this.#level === 0 || this.#mayTry(this.#clock.nowMs());
  }

  get ejectionsTotal(): number {
    return this.#ejectionsTotal;
  }

  /** Attempts under way: from connecting to the end of the response, or of the tunnel. */
  get active(): number {
    return this.#active;
  }

  /** A request goes to the endpoint. After the time out that is the trial. */
  started(): void {
    this.#active += 1;
    if (this.#level === 0) return;
    const nowMs = this.#clock.nowMs();
    if (this.#mayTry(nowMs)) this.#trialEndsAtMs = nowMs + this.#options.trialMaxMs;
  }

  /** Once for each `started`. */
  finished(): void {
    this.#active -= 1;
  }

  /** A connection was established, or a response came on one. Everything before it is forgiven. */
  succeeded(): void {
    if (this.#failuresInARow === 0) return;
    this.#failuresInARow = 0;
    this.#reason = "";
    this.#trialEndsAtMs = 0;
    if (this.#level === 0) return;
    this.#level = 0;
    this.#sinceMs = this.#clock.nowMs();
  }

  /** A connection could not be established. */
  failed(reason: string): void {
    const nowMs = this.#clock.nowMs();
    this.#failuresInARow += 1;
    this.#reason = reason;
    // During the time out: attempts that began before it, or that were made because all endpoints are ejected. They tell
    // nothing new, and must not lengthen it.
    const counts =
      this.#level === 0 ? this.#failuresInARow >= this.#options.failuresMax : nowMs >= this.#trialAtMs;
    if (counts) this.#eject(nowMs);
  }

  /** The attempt ended without telling anything of the endpoint: the client went away first. */
  abandoned(): void {
    this.#trialEndsAtMs = 0;
  }

  report(): HealthReport {
    const nowMs = this.#clock.nowMs();
    const isOut = this.#level > 0 && nowMs < this.#trialAtMs;
    return {
      key: this.key,
      state: this.#level === 0 ? "healthy" : isOut ? "ejected" : "trial",
      forMs: nowMs - this.#sinceMs,
      reason: this.#reason,
      failuresInARow: this.#failuresInARow,
      ejectionsTotal: this.#ejectionsTotal,
      trialInMs: isOut ? this.#trialAtMs - nowMs : 0,
    };
  }

  #mayTry(nowMs: number): boolean {
    return nowMs >= this.#trialAtMs && nowMs >= this.#trialEndsAtMs;
  }

  #eject(nowMs: number): void {
    if (this.#level === 0) this.#sinceMs = nowMs;
    this.#level += 1;
    this.#ejectionsTotal += 1;
    const { backOffMinMs, backOffMaxMs } = this.#options;
    this.#trialAtMs = nowMs + Math.min(backOffMaxMs, backOffMinMs * 2 ** (this.#level - 1));
    this.#trialEndsAtMs = 0;
  }
}

/** Every endpoint that an upstream holds, by key. */
export class HealthRegistry implements EndpointSource<EndpointHealth> {
  readonly #clock: Clock;
  readonly #options: HealthOptions;
  readonly #held = new Map<string, { readonly health: EndpointHealth; holders: number }>();
  /** Of endpoints that are gone: a counter must not go back. */
  #ejectionsBefore = 0;

  constructor(clock: Clock, options: HealthOptions = defaultHealthOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Since the start, of all endpoints. */
  get ejectionsTotal(): number {
    let total = this.#ejectionsBefore;
    for (const { health } of this.#held.values()) total += health.ejectionsTotal;
    return total;
  }

  acquire({ address, port }: Pick<EndpointIr, "address" | "port">): EndpointHealth {
    const key = endpointKey(address, port);
    let held = this.#held.get(key);
    if (held === undefined) {
      held = { health: new EndpointHealth(address, port, this.#clock, this.#options), holders: 0 };
      this.#held.set(key, held);
    }
    held.holders += 1;
    return held.health;
  }

  /** Some upstream still has the endpoint. */
  isHeld(health: EndpointHealth): boolean {
    return this.#held.get(health.key)?.health === health;
  }

  release(health: EndpointHealth): void {
    const held = this.#held.get(health.key);
    if (held?.health !== health) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#held.delete(health.key);
    this.#ejectionsBefore += health.ejectionsTotal;
  }

  /** Outcome of an attempt to connect: null is a success. Nothing happens for an endpoint that nobody holds any more. */
  onConnectOutcome(key: string, failure: string | null): void {
    const health = this.#held.get(key)?.health;
    if (failure === null) health?.succeeded();
    else health?.failed(failure);
  }

  /** Sorted by key. */
  reports(): readonly HealthReport[] {
    return [...this.#held.keys()].sort().flatMap((key) => this.#held.get(key)?.health.report() ?? []);
  }
}
