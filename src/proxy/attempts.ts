// The attempts of one request at endpoints, one after the other: which endpoint comes next, whether there is a next one
// at all, and what each of them learns from it (active requests, latency, health). It sends nothing: that is the exchange's part.
import type { ProxyCore } from "./core.ts";
import { proxyErrors, type ErrorCode } from "./errors.ts";
import type { RequestView, RetryCause, RouteSettings } from "./filter.ts";
import type { LiveUpstream } from "./live.ts";
import type { Upstream } from "./ports.ts";
import { defaultRouteSettings } from "./routing/compile-host.ts";
import type { EndpointHealth } from "./upstream/health.ts";

/** Methods that may be sent again (RFC 9110, 9.2.2; WebDAV's: RFC 4918). A method we do not know may not. */
const idempotentMethods: ReadonlySet<string> = new Set(
  "GET HEAD OPTIONS TRACE PUT DELETE QUERY PROPFIND PROPPATCH MKCOL COPY MOVE UNLOCK REPORT SEARCH".split(
    " ",
  ),
);

export class Attempts {
  /** The connection of the next attempt must be a new one: the last was stale. */
  mustBeNew = false;
  /** The key of a session that began with the attempt; empty: none did. */
  sessionKey = "";
  readonly #core: ProxyCore;
  readonly #request: RequestView;
  /** Endpoints that failed this request; filled only for a retry, since an array is not free to fill and empty. */
  readonly #tried: EndpointHealth[] = [];
  #upstream: LiveUpstream | null = null;
  #settings: Readonly<RouteSettings> = defaultRouteSettings;
  /** Of the attempt under way, which counts there as active. */
  #endpoint: EndpointHealth | null = null;
  /** Of the last attempt. */
  #last: EndpointHealth | null = null;
  /** When the attempt began, for policies that ask how long endpoints take; -1: nobody asks. */
  #startedAt = -1;
  /** The attempt finds out whether its endpoint, which is ejected, is back. */
  #isTrial = false;
  #tries = 0;
  /** The time for all tries began. */
  #triesSince = 0;
  /** Holds a place of the retry budget. */
  #hasRetried = false;

  constructor(core: ProxyCore, request: RequestView) {
    this.#core = core;
    this.#request = request;
  }

  /** A request has come; it may yet be answered without an attempt. */
  begin(nowMs: number): void {
    this.mustBeNew = false;
    this.sessionKey = "";
    if (this.#tried.length > 0) this.#tried.length = 0;
    this.#last = null;
    this.#upstream = null;
    this.#startedAt = -1;
    this.#tries = 0;
    this.#triesSince = nowMs;
    this.#hasRetried = false;
    this.#core.retryBudget.begin();
  }

  /** Where the request goes. */
  choose(upstream: LiveUpstream | null, settings: Readonly<RouteSettings>): void {
    this.#upstream = upstream;
    this.#settings = settings;
  }

  /** The request is over, however it ended. */
  finish(): void {
    this.end();
    this.#upstream = null;
    this.#core.retryBudget.end(this.#hasRetried);
  }

  /** The request was not ready to be sent before: the time for its tries begins now. */
  startClock(): void {
    this.#triesSince = this.#core.clock.nowMs();
  }

  /** Null: there are no endpoints. */
  pick(): EndpointHealth | null {
    return this.#upstream?.balancer.pick(this.#tried, this.#request) ?? null;
  }

  /** `endpoint`: of the last pick. */
  start(endpoint: EndpointHealth): void {
    this.#last = endpoint;
    this.#tries += 1;
    const balancer = this.#upstream?.balancer;
    this.sessionKey = balancer?.sessionKey ?? "";
    this.#startedAt = balancer?.measuresLatency === true ? this.#core.clock.nowMs() : -1;
    this.#endpoint = endpoint;
    this.#isTrial = endpoint.started();
  }

  /** Every way out of an attempt comes by here, some twice. */
  end(): void {
    const endpoint = this.#endpoint;
    if (endpoint === null) return;
    this.#endpoint = null;
    endpoint.finished();
  }

  /** The attempt ends before it told anything of the endpoint. */
  abandon(): void {
    this.#last?.abandoned();
  }

  /** The endpoint's time begins when it has the request: how long the client took to send it is not its doing. */
  onRequestSent(): void {
    if (this.#startedAt >= 0) this.#startedAt = this.#core.clock.nowMs();
  }

  /** The head of a response has come. Its time counts from the beginning, connecting included, or from `onRequestSent`. */
  onResponse(status: number, isRequestComplete: boolean): void {
    this.#endpoint?.responded(status, this.#isTrial);
    if (this.#startedAt < 0 || !isRequestComplete) return;
    const nowMs = this.#core.clock.nowMs();
    this.#endpoint?.latency.observe(nowMs - this.#startedAt, nowMs);
  }

  /** The response is complete. */
  onResponseEnd(): void {
    this.#endpoint?.completed(this.#isTrial);
  }

  /** The endpoint has left its response unfinished. */
  onResponseCut(detail: string): void {
    this.#endpoint?.brokeOff(`response broke off: ${detail}`);
  }

  /**
   * The endpoint for another attempt after a failure; null: there is to be none. `isRepeatable`: everything that was
   * sent is still here, and nothing of a response has gone to the client. `wasSent`: the endpoint may have the request.
   */
  nextAfterFailure(
    code: ErrorCode,
    failed: Upstream | null,
    wasSent: boolean,
    isRepeatable: boolean,
  ): EndpointHealth | null {
    const { retry } = proxyErrors[code];
    const isStale = retry === "error" && failed !== null && failed.isReused && !failed.hasReceived;
    const cause = isStale ? "stale" : retry;
    this.mustBeNew = isStale;
    if (cause === null || !isRepeatable || !this.#mayRetry(cause, wasSent)) return null;
    // A stale connection says nothing about its endpoint, which may be the only one.
    if (isStale) this.#tries -= 1;
    else this.#markTried();
    return this.#pickNext(code, wasSent && !isStale);
  }

  /** The same in place of a response with this status. */
  nextAfterStatus(status: number, isRepeatable: boolean): EndpointHealth | null {
    this.mustBeNew = false;
    if (!isRepeatable || !this.#mayRetry(status, true)) return null;
    this.#markTried();
    return this.#pickNext(`http_${status}`, true);
  }

  #markTried(): void {
    if (this.#last !== null) this.#tried.push(this.#last);
  }

  /** The only place that decides on a retry. Never once something of a response has gone to the client. */
  #mayRetry(cause: RetryCause | number, wasSent: boolean): boolean {
    const { causes, statuses, isNonIdempotentIncluded, triesMax, timeoutMs } = this.#settings.retries;
    const isListed = typeof cause === "number" ? statuses.includes(cause) : causes.includes(cause);
    if (!isListed) return false;
    if (wasSent && !isNonIdempotentIncluded && !idempotentMethods.has(this.#request.method)) return false;
    // nginx does not count a stale connection as a try either.
    if (triesMax > 0 && this.#tries >= triesMax && cause !== "stale") return false;
    return timeoutMs === 0 || this.#core.clock.nowMs() - this.#triesSince < timeoutMs;
  }

  /**
   * `mayRepeat`: an endpoint may have processed the request. Then it is not asked again, and the retry needs a place in
   * the budget; what never reached an endpoint costs none.
   */
  #pickNext(reason: string, mayRepeat: boolean): EndpointHealth | null {
    const { metrics, retryBudget } = this.#core;
    const mustBeAnother = mayRepeat || this.#settings.retries.triesMax === 0;
    const endpoint = this.pick();
    if (endpoint === null || (mustBeAnother && this.#tried.includes(endpoint))) return null;
    if (mayRepeat && !this.#hasRetried) {
      this.#hasRetried = retryBudget.take();
      if (!this.#hasRetried) {
        metrics.retriesOverBudget += 1;
        return null;
      }
    }
    metrics.retries.add(reason);
    return endpoint;
  }
}
