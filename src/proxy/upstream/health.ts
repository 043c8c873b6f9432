// Passive health: what the data path learns of an endpoint by using it, shared by all routes and by upstreams that judge
// alike. Outlives snapshots; an endpoint is forgotten when the last upstream that has it lets it go. The numbers are
// shared with the other workers, so that what one finds out holds for all; the words for it are its own.
// Upstreams that have their endpoints checked also see the verdict of that check, which another thread writes.
// What an upstream makes of it, when much of it is ejected, is the business of rotation.ts.
import type { EndpointIr } from "../../ir/routing.ts";
import type { Clock } from "../../util/clock.ts";
import { EjectionCause, EndpointCells } from "../across-workers/endpoint-cells.ts";
import type { EndpointDirectory, SharedEndpoint } from "../across-workers/endpoint-directory.ts";
import { SharedState } from "../across-workers/shared-state.ts";
import { defaultOutliers, type OutlierSettings } from "../filter.ts";
import type { BalancedEndpoint, EndpointSource } from "./balancer/balancer.ts";
import { Latency } from "./latency.ts";

/** A trial without an outcome after this time is taken for lost, and another may start. */
const trialMaxMs = 10_000;

/** What an endpoint was ejected for, for metrics. */
export type EjectionReason = "failures" | "statuses" | "breaks";
const reasons: Readonly<Record<EjectionCause, EjectionReason>> = {
  [EjectionCause.Failure]: "failures",
  [EjectionCause.Status]: "statuses",
  [EjectionCause.Break]: "breaks",
};

/** `trial`: the time out is over, and one attempt at a time finds out whether the endpoint is back. */
export type HealthState = "healthy" | "ejected" | "trial";

/** For people: the admin page and its JSON. */
export interface HealthReport {
  readonly key: string;
  /** The check whose verdict counts too; empty: none. */
  readonly check: string;
  /** By what it is ejected, if not by what nearly all are; else empty. */
  readonly outliers: string;
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

/** Where it is kept what an endpoint was ejected for: upstreams that judge otherwise must not be harmed by it. */
function outliersKey(endpoint: string, outliers: string): string {
  return `${endpoint} outliers ${outliers}`;
}

/** Where the ejections of an endpoint are kept for upstreams with these settings. */
export function judgedKey(endpoint: string, settings: OutlierSettings): string {
  const outliers = outliersName(settings);
  return outliers === "" ? endpoint : outliersKey(endpoint, outliers);
}

/** What tells reports from each other. */
export function reportKey({
  key,
  check,
  outliers,
}: Pick<HealthReport, "key" | "check" | "outliers">): string {
  const judged = outliers === "" ? key : outliersKey(key, outliers);
  return check === "" ? judged : verdictKey(judged, check);
}

/** How an upstream judges its endpoints. */
export interface Judgement {
  /** The check whose verdict counts; empty: none. */
  readonly check: string;
  readonly outliers: OutlierSettings;
}

const defaultJudgement: Judgement = { check: "", outliers: defaultOutliers };

/** As reports name it: empty for the settings that nearly all have. */
export function outliersName(outliers: OutlierSettings): string {
  const { failuresMax, statusesMax, ejectionMinMs, ejectionMaxMs } = outliers;
  const isDefault =
    failuresMax === defaultOutliers.failuresMax &&
    statusesMax === defaultOutliers.statusesMax &&
    ejectionMinMs === defaultOutliers.ejectionMinMs &&
    ejectionMaxMs === defaultOutliers.ejectionMaxMs;
  return isDefault ? "" : [failuresMax, statusesMax, ejectionMinMs, ejectionMaxMs].join(" ");
}

/** What an endpoint needs of its registry. */
interface EndpointContext {
  readonly directory: EndpointDirectory;
  readonly clock: Clock;
  onEjected(reason: EjectionReason): void;
}

/**
 * One endpoint. An attempt is announced with `started`; it may bring outcomes, and it is over with `finished`. Outcomes
 * of a connection are `succeeded` and `failed` or `abandoned`; those of a response `responded`, then `completed` or
 * `brokeOff`. Each kind is counted by itself, and ended by its own opposite: an endpoint that answers every other request
 * with 500 still has well connected.
 */
export class EndpointHealth implements BalancedEndpoint {
  readonly key: string;
  readonly address: string;
  readonly port: number;
  /** The check whose verdict counts; empty: none. */
  readonly check: string;
  /** As `outliersName` has it. */
  readonly outliers: string;
  /** As this worker sees it. */
  readonly latency = new Latency();
  readonly #context: EndpointContext;
  readonly #settings: OutlierSettings;
  readonly #shared: SharedEndpoint;
  readonly #judged: SharedEndpoint;
  #verdict: SharedEndpoint | null;
  /** Who is busy with it, of all upstreams. */
  #active: EndpointCells;
  /** What it is ejected for: the same cells unless its upstreams judge in a way of their own. */
  #cells: EndpointCells;
  #reason = "";
  /** Attempts of this worker. */
  #attempts = 0;
  #isReleased = false;
  #hasLeft = false;

  constructor(
    { address, port }: Pick<EndpointIr, "address" | "port">,
    judgement: Judgement,
    context: EndpointContext,
  ) {
    const nowMs = context.clock.nowMs();
    const { directory } = context;
    this.key = endpointKey(address, port);
    this.address = address;
    this.port = port;
    this.check = judgement.check;
    this.outliers = outliersName(judgement.outliers);
    this.#context = context;
    this.#settings = judgement.outliers;
    this.#shared = directory.acquire(this.key, nowMs);
    this.#judged =
      this.outliers === "" ? this.#shared : directory.acquire(outliersKey(this.key, this.outliers), nowMs);
    this.#verdict = this.check === "" ? null : directory.acquire(verdictKey(this.key, this.check), nowMs);
    this.#active = this.#shared.cells;
    this.#cells = this.#judged.cells;
  }

  /** May be given requests while others could take them. While a trial is under way: no. */
  get isUsable(): boolean {
    if (this.failedCheck) return false;
    if (this.#cells.level === 0) return true;
    const nowMs = this.#context.clock.nowMs();
    return nowMs >= this.#cells.trialAtMs && nowMs >= this.#cells.trialEndsAtMs;
  }

  /** The last verdict of the health check of its upstreams was against it. */
  get failedCheck(): boolean {
    return this.#verdict !== null && this.#verdict.cells.failedCheck;
  }

  /** Until an attempt succeeds: also when its trial is due. */
  get isEjected(): boolean {
    return this.#cells.level > 0;
  }

  /** Of an ejected one: since when, whatever trials have failed meanwhile. */
  get ejectedAtMs(): number {
    return this.#cells.sinceMs;
  }

  /** Of an ejected one: when its turn to be tried comes; Infinity while a trial is under way. */
  get trialAtMs(): number {
    const { trialAtMs, trialEndsAtMs } = this.#cells;
    return this.#context.clock.nowMs() < trialEndsAtMs ? Infinity : trialAtMs;
  }

  get ejectionsTotal(): number {
    return this.#cells.ejections;
  }

  /** In no table any more. The shared cells are given back with the last attempt. */
  release(): void {
    this.#isReleased = true;
    if (this.#attempts === 0) this.#leave();
  }

  /** Attempts under way, of all workers: from connecting to the end of the response, or of the tunnel. */
  get active(): number {
    return this.#active.active;
  }

  /**
   * A request goes to the endpoint. True: it is ejected, and this tries whether it is back; because its time out is over,
   * or because there is none better.
   */
  started(): boolean {
    this.#attempts += 1;
    this.#active.addActive(1);
    const cells = this.#cells;
    if (cells.level === 0) return false;
    const nowMs = this.#context.clock.nowMs();
    // Two workers may begin a trial within the same microsecond; nothing depends on there being one.
    if (nowMs >= cells.trialEndsAtMs) cells.trialEndsAtMs = nowMs + trialMaxMs;
    return true;
  }

  /** Once for each `started`. */
  finished(): void {
    this.#attempts -= 1;
    this.#active.addActive(-1);
    if (this.#isReleased && this.#attempts === 0) this.#leave();
  }

  /** The head of a response came. That is the end of failures, whoever asked for it. */
  succeeded(): void {
    const cells = this.#cells;
    // Also when another worker's success has ended the run while this ejection was decided on.
    if (cells.run(EjectionCause.Failure) === 0 && cells.level === 0) return;
    cells.endRun(EjectionCause.Failure);
    this.#returnFrom(EjectionCause.Failure);
  }

  /** A connection could not be established, or brought no response. */
  failed(reason: string): void {
    if (this.#settings.failuresMax > 0) this.#fault(EjectionCause.Failure, reason);
  }

  /** A response has this status. `isTrial`: what `started` said of its attempt. */
  responded(status: number, isTrial: boolean): void {
    if (this.#settings.statusesMax === 0) return;
    if (isTroubled(status)) {
      this.#fault(EjectionCause.Status, `status ${status}`);
      return;
    }
    const cells = this.#cells;
    if (cells.run(EjectionCause.Status) !== 0) cells.endRun(EjectionCause.Status);
    // Responses to what was asked before the ejection say nothing of now.
    if (isTrial) this.#returnFrom(EjectionCause.Status);
  }

  /** A response came to its end. */
  completed(isTrial: boolean): void {
    const cells = this.#cells;
    if (cells.run(EjectionCause.Break) !== 0) cells.endRun(EjectionCause.Break);
    if (isTrial) this.#returnFrom(EjectionCause.Break);
  }

  /** A response ended before its end, by no fault of the client. */
  brokeOff(reason: string): void {
    if (this.#settings.failuresMax > 0) this.#fault(EjectionCause.Break, reason);
  }

  /** The attempt ended without telling anything of the endpoint: the client went away first. */
  abandoned(): void {
    this.#cells.trialEndsAtMs = 0;
  }

  report(): HealthReport {
    const nowMs = this.#context.clock.nowMs();
    const cells = this.#cells;
    const isOut = cells.level > 0 && nowMs < cells.trialAtMs;
    const failuresInARow = cells.run(EjectionCause.Failure);
    const isFaultless =
      failuresInARow === 0 &&
      cells.level === 0 &&
      cells.run(EjectionCause.Status) === 0 &&
      cells.run(EjectionCause.Break) === 0;
    return {
      key: this.key,
      check: this.check,
      outliers: this.outliers,
      failedCheck: this.failedCheck,
      state: cells.level === 0 ? "healthy" : isOut ? "ejected" : "trial",
      forMs: nowMs - cells.sinceMs,
      // Another worker may have had the success that ends it.
      reason: isFaultless ? "" : this.#reason,
      failuresInARow,
      ejectionsTotal: cells.ejections,
      trialInMs: isOut ? cells.trialAtMs - nowMs : 0,
    };
  }

  #fault(cause: EjectionCause, reason: string): void {
    const nowMs = this.#context.clock.nowMs();
    const cells = this.#cells;
    const { failuresMax, statusesMax } = this.#settings;
    const inARow = cells.addToRun(cause);
    this.#reason = reason;
    const { level } = cells;
    if (level === 0) {
      if (inARow >= (cause === EjectionCause.Status ? statusesMax : failuresMax)) {
        this.#eject(level, cause, nowMs);
      }
    } else if (nowMs >= cells.trialAtMs) {
      this.#eject(level, cause, nowMs);
    } else if (nowMs < cells.trialEndsAtMs) {
      // Tried during its time out, for want of a better one: the time out starts again, so that others are tried before
      // it, and is no longer than it was. Otherwise a short outage of all would keep each of them out for long.
      cells.trialAtMs = nowMs + this.#timeOutMs(level - 1);
      cells.trialEndsAtMs = 0;
    }
    // What remains are attempts that began before the ejection. They tell nothing new, and must not lengthen it.
  }

  /** Back in rotation, if it was ejected for this. */
  #returnFrom(cause: EjectionCause): void {
    const cells = this.#cells;
    const { level } = cells;
    if (level === 0 || cells.cause !== cause) return;
    cells.trialEndsAtMs = 0;
    if (!cells.changeLevel(level, 0)) return;
    for (const each of Object.values(EjectionCause)) cells.endRun(each);
    this.#reason = "";
    cells.sinceMs = this.#context.clock.nowMs();
    cells.changed();
  }

  #eject(level: number, cause: EjectionCause, nowMs: number): void {
    const cells = this.#cells;
    // Of workers that find out at the same time one ejects.
    if (!cells.changeLevel(level, level + 1)) return;
    cells.cause = cause;
    cells.trialAtMs = nowMs + this.#timeOutMs(level);
    cells.trialEndsAtMs = 0;
    cells.addEjection();
    if (level === 0) {
      cells.sinceMs = nowMs;
      cells.changed();
    }
    this.#context.onEjected(reasons[cause]);
  }

  #timeOutMs(level: number): number {
    const { ejectionMinMs, ejectionMaxMs } = this.#settings;
    return Math.min(ejectionMaxMs, ejectionMinMs * 2 ** level);
  }

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#active = EndpointCells.local();
    this.#cells = this.#active;
    this.#shared.release();
    if (this.#judged !== this.#shared) this.#judged.release();
    this.#verdict?.release();
    this.#verdict = null;
  }
}

/** 501 and 505 are about the request. */
function isTroubled(status: number): boolean {
  return status >= 500 && status !== 501 && status !== 505;
}

/** Every endpoint that an upstream holds, by key and judgement. */
export class HealthRegistry implements EndpointSource<EndpointHealth> {
  readonly #held = new Map<string, { readonly health: EndpointHealth; holders: number }>();
  readonly #context: EndpointContext;

  /** `onEjected`: this worker decided on an ejection. */
  constructor(
    clock: Clock,
    directory: EndpointDirectory = SharedState.alone().endpoints,
    onEjected: (reason: EjectionReason) => void = () => undefined,
  ) {
    this.#context = { clock, directory, onEjected };
  }

  get size(): number {
    return this.#held.size;
  }

  get changes(): number {
    return this.#context.directory.changes;
  }

  /** Endpoints that are ejected now, each once, by whatever judgement. */
  get ejected(): number {
    const keys = new Set<string>();
    for (const { health } of this.#held.values()) if (health.isEjected) keys.add(health.key);
    return keys.size;
  }

  /** Endpoints as upstreams that judge like this see them. */
  judgedBy(judgement: Judgement): EndpointSource<EndpointHealth> {
    const { directory } = this.#context;
    return {
      get changes() {
        return directory.changes;
      },
      acquire: (endpoint) => this.acquire(endpoint, judgement),
      release: (health) => this.release(health),
    };
  }

  acquire(
    endpoint: Pick<EndpointIr, "address" | "port">,
    judgement: Judgement = defaultJudgement,
  ): EndpointHealth {
    const key = reportKey({
      key: endpointKey(endpoint.address, endpoint.port),
      check: judgement.check,
      outliers: outliersName(judgement.outliers),
    });
    let held = this.#held.get(key);
    if (held === undefined) {
      held = { health: new EndpointHealth(endpoint, judgement, this.#context), holders: 0 };
      this.#held.set(key, held);
    }
    held.holders += 1;
    return held.health;
  }

  /** Some upstream still has the endpoint. */
  isHeld(health: EndpointHealth): boolean {
    return this.#held.get(reportKey(health))?.health === health;
  }

  release(health: EndpointHealth): void {
    const key = reportKey(health);
    const held = this.#held.get(key);
    if (held?.health !== health) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#held.delete(key);
    health.release();
  }

  /** Sorted by key. */
  reports(): readonly HealthReport[] {
    return [...this.#held.keys()].sort().flatMap((key) => this.#held.get(key)?.health.report() ?? []);
  }
}
