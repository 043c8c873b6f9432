// Passive health: what the data path learns of an endpoint by connecting to it, shared by all routes and upstreams.
// Outlives snapshots; an endpoint is forgotten when the last upstream that has it lets it go. The numbers are shared with
// the other workers, so that what one finds out holds for all; the words for it are its own.
// Upstreams that have their endpoints checked also see the verdict of that check, which another thread writes.
import type { EndpointIr } from "../../ir/routing.ts";
import type { Clock } from "../../util/clock.ts";
import { EndpointCells } from "../across-workers/endpoint-cells.ts";
import type { EndpointDirectory, SharedEndpoint } from "../across-workers/endpoint-directory.ts";
import { SharedState } from "../across-workers/shared-state.ts";
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
  /** The check whose verdict counts too; empty: none. */
  readonly check: string;
  readonly failedCheck: boolean;
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

/** Where the verdict of a check on an endpoint is kept. One for each pair of them, so that no upstream is harmed by a
 * check of another one, which may be that of a stranger. */
export function verdictKey(endpoint: string, check: string): string {
  return `${endpoint} ${check}`;
}

/** What an endpoint needs of its registry. */
interface EndpointContext {
  readonly directory: EndpointDirectory;
  readonly clock: Clock;
  readonly options: HealthOptions;
  onEjected(): void;
}

/**
 * One endpoint. An attempt is announced with `started`; it may bring `succeeded`, `failed` or `abandoned`, and it is over
 * with `finished`.
 */
export class EndpointHealth implements BalancedEndpoint {
  readonly key: string;
  readonly address: string;
  readonly port: number;
  /** The check whose verdict counts; empty: none. */
  readonly check: string;
  /** As this worker sees it. */
  readonly latency = new Latency();
  readonly #context: EndpointContext;
  readonly #shared: SharedEndpoint;
  #cells: EndpointCells;
  #verdict: SharedEndpoint | null;
  #reason = "";
  /** Attempts of this worker. */
  #active = 0;
  #isReleased = false;
  #hasLeft = false;

  constructor(address: string, port: number, check: string, context: EndpointContext) {
    const nowMs = context.clock.nowMs();
    this.key = endpointKey(address, port);
    this.address = address;
    this.port = port;
    this.check = check;
    this.#context = context;
    this.#shared = context.directory.acquire(this.key, nowMs);
    this.#cells = this.#shared.cells;
    this.#verdict = check === "" ? null : context.directory.acquire(verdictKey(this.key, check), nowMs);
  }

  /** May be given requests while others could take them. While a trial is under way: no. */
  get isUsable(): boolean {
    if (this.failedCheck) return false;
    return this.#cells.level === 0 || this.#mayTry(this.#context.clock.nowMs());
  }

  /** The last verdict of the health check of its upstreams was against it. */
  get failedCheck(): boolean {
    return this.#verdict !== null && this.#verdict.cells.failedCheck;
  }

  get ejectionsTotal(): number {
    return this.#cells.ejections;
  }

  /** In no table any more. The shared cells are given back with the last attempt. */
  release(): void {
    this.#isReleased = true;
    if (this.#active === 0) this.#leave();
  }

  /** Attempts under way, of all workers: from connecting to the end of the response, or of the tunnel. */
  get active(): number {
    return this.#cells.active;
  }

  /** A request goes to the endpoint. After the time out that is the trial. */
  started(): void {
    this.#active += 1;
    this.#cells.addActive(1);
    if (this.#cells.level === 0) return;
    const nowMs = this.#context.clock.nowMs();
    // Two workers may begin a trial within the same microsecond; nothing depends on there being one.
    if (this.#mayTry(nowMs)) this.#cells.trialEndsAtMs = nowMs + this.#context.options.trialMaxMs;
  }

  /** Once for each `started`. */
  finished(): void {
    this.#active -= 1;
    this.#cells.addActive(-1);
    if (this.#isReleased && this.#active === 0) this.#leave();
  }

  /** A connection was established, or a response came on one. Everything before it is forgiven. */
  succeeded(): void {
    const cells = this.#cells;
    if (cells.failuresInARow === 0) return;
    cells.clearFailures();
    this.#reason = "";
    cells.trialEndsAtMs = 0;
    const { level } = cells;
    if (level > 0 && cells.changeLevel(level, 0)) cells.sinceMs = this.#context.clock.nowMs();
  }

  /** A connection could not be established. */
  failed(reason: string): void {
    const nowMs = this.#context.clock.nowMs();
    const cells = this.#cells;
    const failuresInARow = cells.addFailure();
    this.#reason = reason;
    const { level } = cells;
    // During the time out: attempts that began before it, or that were made because all endpoints are ejected. They tell
    // nothing new, and must not lengthen it.
    const counts =
      level === 0 ? failuresInARow >= this.#context.options.failuresMax : nowMs >= cells.trialAtMs;
    if (counts) this.#eject(level, nowMs);
  }

  /** The attempt ended without telling anything of the endpoint: the client went away first. */
  abandoned(): void {
    this.#cells.trialEndsAtMs = 0;
  }

  report(): HealthReport {
    const nowMs = this.#context.clock.nowMs();
    const cells = this.#cells;
    const isOut = cells.level > 0 && nowMs < cells.trialAtMs;
    return {
      key: this.key,
      check: this.check,
      failedCheck: this.failedCheck,
      state: cells.level === 0 ? "healthy" : isOut ? "ejected" : "trial",
      forMs: nowMs - cells.sinceMs,
      // Another worker may have had the success that ends it.
      reason: cells.failuresInARow === 0 ? "" : this.#reason,
      failuresInARow: cells.failuresInARow,
      ejectionsTotal: cells.ejections,
      trialInMs: isOut ? cells.trialAtMs - nowMs : 0,
    };
  }

  #mayTry(nowMs: number): boolean {
    return nowMs >= this.#cells.trialAtMs && nowMs >= this.#cells.trialEndsAtMs;
  }

  #eject(level: number, nowMs: number): void {
    const cells = this.#cells;
    // Of workers that find out at the same time one ejects.
    if (!cells.changeLevel(level, level + 1)) return;
    const { backOffMinMs, backOffMaxMs } = this.#context.options;
    cells.trialAtMs = nowMs + Math.min(backOffMaxMs, backOffMinMs * 2 ** level);
    cells.trialEndsAtMs = 0;
    if (level === 0) cells.sinceMs = nowMs;
    cells.addEjection();
    this.#context.onEjected();
  }

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#cells = EndpointCells.local();
    this.#shared.release();
    this.#verdict?.release();
    this.#verdict = null;
  }
}

/** Every endpoint that an upstream holds, by key and check. */
export class HealthRegistry implements EndpointSource<EndpointHealth> {
  readonly #held = new Map<string, { readonly health: EndpointHealth; holders: number }>();
  readonly #context: EndpointContext;
  #ejections = 0;

  constructor(
    clock: Clock,
    directory: EndpointDirectory = SharedState.alone().endpoints,
    options: HealthOptions = defaultHealthOptions,
  ) {
    this.#context = {
      clock,
      directory,
      options,
      onEjected: () => {
        this.#ejections += 1;
      },
    };
  }

  get size(): number {
    return this.#held.size;
  }

  /** Since the start: those that this worker decided on. */
  get ejectionsTotal(): number {
    return this.#ejections;
  }

  /** Endpoints as upstreams with this check see them. */
  checkedBy(check: string): EndpointSource<EndpointHealth> {
    return {
      acquire: (endpoint) => this.acquire(endpoint, check),
      release: (health) => this.release(health),
    };
  }

  acquire({ address, port }: Pick<EndpointIr, "address" | "port">, check = ""): EndpointHealth {
    const key = heldKey(endpointKey(address, port), check);
    let held = this.#held.get(key);
    if (held === undefined) {
      held = { health: new EndpointHealth(address, port, check, this.#context), holders: 0 };
      this.#held.set(key, held);
    }
    held.holders += 1;
    return held.health;
  }

  /** Some upstream still has the endpoint. */
  isHeld(health: EndpointHealth): boolean {
    return this.#held.get(heldKey(health.key, health.check))?.health === health;
  }

  release(health: EndpointHealth): void {
    const key = heldKey(health.key, health.check);
    const held = this.#held.get(key);
    if (held?.health !== health) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#held.delete(key);
    health.release();
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

function heldKey(endpoint: string, check: string): string {
  return check === "" ? endpoint : verdictKey(endpoint, check);
}
