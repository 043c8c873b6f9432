// One request and its response: the order of business of the data plane. Read this first.
//   begin -> decide -> answer, or: read small content -> pick an endpoint -> connect -> send -> relay the response -> finish
// It knows no wire format: the client's connection and the endpoint's are ports (ports.ts). One exchange serves all
// requests of a connection (or of a stream), one after the other; everything is reset in `begin`.
import { systemRandom } from "../util/random.ts";
import { httpDate, nextRequestId, retryAfterSeconds, type ProxyCore } from "./core.ts";
import { ContentBuffer } from "./content-buffer.ts";
import type { Timed } from "./deadlines.ts";
import { errorPage, Origin, proxyErrors, reasonPhrases, type ErrorCode } from "./errors.ts";
import { FieldId, FieldSection } from "./field-section.ts";
import type { Answer, RequestView, RetryCause, RouteSettings } from "./filter.ts";
import { interimLines, requestLines, responseLines, type RequestExtras } from "./forwarding.ts";
import type { Live } from "./live.ts";
import type {
  Downstream,
  DownstreamEvents,
  RequestMessage,
  ResponseMessage,
  Upstream,
  UpstreamEvents,
  UpstreamRequest,
} from "./ports.ts";
import { decide } from "./routing/decide.ts";
import { parseAuthority } from "./routing/host.ts";
import { normalizePath } from "./routing/path.ts";
import type { CompiledAlternative, CompiledRoute, ResponseEdits } from "./routing/snapshot.ts";
import { defaultRouteSettings } from "./routing/compile-host.ts";
import type { EndpointHealth } from "./upstream/health.ts";
import { setCookieLine } from "./upstream/session.ts";

const State = {
  /** No request. */
  Idle: 0,
  /** Content is read before an endpoint is chosen. */
  Buffering: 1,
  /** Waiting for a connection to an endpoint. */
  Connecting: 2,
  /** The request goes to the endpoint; no final response yet. */
  Requesting: 3,
  /** The head of the final response has gone to the client. */
  Responding: 4,
  /** Protocols were switched. */
  Tunnel: 5,
} as const;
type State = (typeof State)[keyof typeof State];

/** Methods that may be sent again (RFC 9110, 9.2.2; WebDAV's: RFC 4918). A method we do not know may not. */
const idempotentMethods: ReadonlySet<string> = new Set(
  "GET HEAD OPTIONS TRACE PUT DELETE QUERY PROPFIND PROPPATCH MKCOL COPY MOVE UNLOCK REPORT SEARCH".split(
    " ",
  ),
);
const noRequest: RequestMessage = {
  method: "",
  target: "",
  fields: new FieldSection(),
  hostField: "",
  hasContent: false,
  contentLength: -1,
  expectsContinue: false,
  hasUpgrade: false,
  connectionNames: null,
};
const noEdits: ResponseEdits = { names: [], lines: "" };
/** What logs and metrics show for a request whose client went away; nginx's number. */
const clientClosedStatus = 499;

export class Exchange
  implements RequestView, DownstreamEvents, UpstreamEvents, UpstreamRequest, RequestExtras, Timed
{
  // RequestView and UpstreamRequest: valid while an exchange runs.
  method = "";
  authority = "";
  host = "";
  target = "";
  path = "";
  draw = 0;
  lines = "";
  upgrade = "";
  hasContent = false;
  contentLength = -1;
  takesTrailers = false;
  hasRequestId = false;
  /** The earlier of the two times below. */
  deadlineAt = Infinity;

  readonly #core: ProxyCore;
  readonly #downstream: Downstream;
  #state: State = State.Idle;
  #request: RequestMessage | null = null;
  #live: Live | null = null;
  #route: CompiledRoute | null = null;
  #alternative: CompiledAlternative | null = null;
  #upstreamIndex = -1;
  #settings: Readonly<RouteSettings> = defaultRouteSettings;
  #upstream: Upstream | null = null;
  readonly #tried: EndpointHealth[] = [];
  /** The endpoint of the attempt under way, which counts there as active. */
  #attempt: EndpointHealth | null = null;
  /** When the attempt began, for policies that ask how long endpoints take; -1: nobody asks. */
  #attemptAtMs = -1;
  /** The key of a session that began with the attempt; empty: none did. */
  #sessionKey = "";
  #tries = 0;
  #triesSince = 0;
  /** The content that was taken from the client, as long as all of it is here. */
  readonly #buffer: ContentBuffer;
  /** Holds a place of the retry budget. */
  #hasRetried = false;
  #hasRelayedInterim = false;
  #startedAt = 0;
  #status = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #isRequestComplete = true;
  #isRequestBlocked = false;
  #isResponseBlocked = false;
  #mayContinue = false;
  /** When to ask the client for content that it holds back (`Expect: 100-continue`). */
  #continueAt = Infinity;
  /** When the head of the response must be there. */
  #answerBy = Infinity;
  /** Directions of a tunnel that are open. */
  #tunnelHalves = 0;

  constructor(core: ProxyCore, downstream: Downstream) {
    this.#core = core;
    this.#downstream = downstream;
    this.#buffer = new ContentBuffer(core.contentBuffers);
  }

  get isIdle(): boolean {
    return this.#state === State.Idle;
  }

  /** Request content may be handed over now. */
  get wantsContent(): boolean {
    if (this.#state === State.Buffering) return true;
    return this.#upstream !== null && !this.#isRequestBlocked && this.#state !== State.Connecting;
  }

  get isTls(): boolean {
    return this.#downstream.isTls;
  }

  get clientAddress(): string {
    return this.#downstream.clientAddress;
  }

  field(name: string): string | undefined {
    return this.#request?.fields.get(name);
  }

  // From the client.

  /** The head of a request is complete. */
  begin(request: RequestMessage): void {
    this.#reset(request);
    const live = this.#core.live;
    if (live === null) {
      this.#refuse("notReady");
      return;
    }
    this.#live = live;
    const error = this.#readTarget(request);
    if (error !== null) {
      this.#refuse(error);
      return;
    }
    const decision = decide(live.snapshot, this);
    this.#route = decision.route;
    this.#settings = decision.route.settings;
    if (decision.kind === "answer") {
      this.#answer(decision.answer);
    } else if (decision.kind === "refuse") {
      this.#refuse(decision.code);
    } else if (this.#isContentTooLarge(request.contentLength)) {
      this.#refuse("contentTooLarge");
    } else {
      this.#upstreamIndex = decision.upstream;
      this.#alternative = decision.alternative;
      const { requestTimeoutMs } = this.#settings;
      if (requestTimeoutMs > 0) this.#watch(Infinity, this.#startedAt + requestTimeoutMs);
      const mustBuffer = this.#mustBuffer(request);
      // The endpoint cannot be asked whether it wants the content: there is none yet.
      if (mustBuffer) this.#sendContinue();
      this.#prepareRequest(request);
      if (mustBuffer) this.#startBuffering();
      else this.#tryFirstEndpoint();
    }
  }

  /** What came in place of a request cannot be read as one. */
  reject(code: ErrorCode): void {
    this.#reset(noRequest);
    this.#refuse(code);
  }

  onContent(buffer: Buffer, start: number, end: number): boolean {
    this.#bytesIn += end - start;
    if (this.#isContentTooLarge(this.#bytesIn)) {
      this.onRequestFailed("contentTooLarge");
      return false;
    }
    this.#stopWaitingToContinue();
    if (this.#state === State.Buffering) return this.#bufferContent(buffer, start, end);
    this.#buffer.clear();
    const isOpen = this.#upstream?.sendContent(buffer, start, end) ?? true;
    this.#isRequestBlocked = !isOpen;
    return isOpen;
  }

  /** A client's trailers end here (RFC 9110, 6.5.1 allows it): a backend may take them for fields that we removed. */
  onContentEnd(): void {
    this.#isRequestComplete = true;
    if (this.#state === State.Buffering) {
      this.contentLength = this.#bytesIn;
      this.#endBuffering();
      return;
    }
    // The endpoint's time begins when it has the request: how long the client took to send it is not its doing.
    if (this.#attemptAtMs >= 0) this.#attemptAtMs = this.#core.clock.nowMs();
    this.#upstream?.sendEnd("");
  }

  onDownstreamReadDone(): void {
    this.#upstream?.flush();
  }

  onDownstreamDrain(): void {
    if (!this.#isResponseBlocked) return;
    this.#isResponseBlocked = false;
    this.#upstream?.resume();
  }

  onRequestFailed(code: ErrorCode): void {
    if (this.#state === State.Idle) return;
    this.#dropUpstream();
    if (this.#state === State.Responding || this.#state === State.Tunnel) {
      this.#core.metrics.refused.add(code);
      this.#downstream.abort(code);
      this.#finish();
    } else {
      this.#refuse(code);
    }
  }

  onTunnelBytes(buffer: Buffer, start: number, end: number): boolean {
    this.#bytesIn += end - start;
    const isOpen = this.#upstream?.sendTunnelBytes(buffer, start, end) ?? true;
    this.#isRequestBlocked = !isOpen;
    return isOpen;
  }

  onTunnelEnd(): void {
    this.#upstream?.endTunnel();
    this.#endTunnelHalf();
  }

  // From the endpoint.

  onUpstreamConnected(upstream: Upstream): void {
    this.#upstream = upstream;
    this.#state = State.Requesting;
    upstream.sendRequest(this);
    if (!this.hasContent) return;
    for (const piece of this.#buffer.pieces) {
      this.#isRequestBlocked = !upstream.sendContent(piece, 0, piece.length);
    }
    if (this.#isRequestComplete) {
      upstream.sendEnd("");
      return;
    }
    upstream.flush();
    if (this.#isRequestBlocked) return;
    if (this.#mayContinue) {
      this.#watch(this.#core.clock.nowMs() + this.#core.limits.continueTimeoutMs, this.#answerBy);
    }
    this.#downstream.resumeContent();
  }

  onUpstreamInterim(response: ResponseMessage): void {
    if (response.status === 100) this.#sendContinue();
    else if (this.#downstream.takesInterim) {
      this.#hasRelayedInterim = true;
      this.#downstream.sendInterim(response.status, interimLines(response.fields, response.connectionNames));
    }
  }

  onUpstreamHead(response: ResponseMessage): void {
    if (this.#attemptAtMs >= 0 && this.#isRequestComplete) this.#observeLatency();
    if (response.status >= 400 && this.#retryStatus(response.status)) return;
    this.#state = State.Responding;
    this.#status = response.status;
    this.#buffer.clear();
    this.#stopWaiting();
    // A response that overtakes its request leaves no certain place where the next request starts.
    if (!this.#isRequestComplete) this.#downstream.closeAfterResponse();
    const lines = this.#responseLines(response);
    this.#downstream.sendHead(
      response.status,
      response.reason,
      lines,
      response.contentLength,
      response.hasContent,
    );
  }

  onUpstreamContent(buffer: Buffer, start: number, end: number): void {
    this.#bytesOut += end - start;
    if (this.#downstream.sendContent(buffer, start, end) || this.#isResponseBlocked) return;
    this.#isResponseBlocked = true;
    this.#upstream?.pause();
  }

  onUpstreamEnd(trailers: string): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    this.#endAttempt();
    upstream?.release(this.#isRequestComplete);
    // The exchange is free before the client's connection hears of it, for that begins the next request.
    const { takesTrailers } = this;
    this.#finish();
    this.#downstream.sendEnd(takesTrailers ? trailers : "");
  }

  onUpstreamSwitched(response: ResponseMessage): void {
    const upgrade = response.fields.get("upgrade") ?? "";
    if (!this.upgrade.toLowerCase().split(", ").includes(upgrade.toLowerCase())) {
      this.#dropUpstream();
      this.#refuse("upstreamInvalid");
      return;
    }
    this.#state = State.Tunnel;
    this.#stopWaiting();
    this.#tunnelHalves = 2;
    this.#status = 101;
    const lines = this.#responseLines(response);
    this.#downstream.startTunnel(`${lines}Upgrade: ${upgrade}\r\n`);
  }

  onUpstreamTunnelBytes(buffer: Buffer, start: number, end: number): void {
    this.#bytesOut += end - start;
    if (this.#downstream.sendTunnelBytes(buffer, start, end) || this.#isResponseBlocked) return;
    this.#isResponseBlocked = true;
    this.#upstream?.pause();
  }

  onUpstreamTunnelEnd(): void {
    this.#endTunnelHalf();
    this.#downstream.endTunnel();
  }

  onUpstreamReadDone(): void {
    this.#downstream.flush();
  }

  onUpstreamDrain(): void {
    if (!this.#isRequestBlocked) return;
    this.#isRequestBlocked = false;
    this.#downstream.resumeContent();
  }

  onUpstreamFailed(code: ErrorCode): void {
    const failed = this.#upstream;
    this.#upstream = null;
    this.#endAttempt();
    if (this.#state === State.Responding || this.#state === State.Tunnel) {
      const seen = this.#state === State.Responding ? "upstreamTruncated" : code;
      this.#core.metrics.refused.add(seen);
      this.#downstream.abort(seen);
      this.#finish();
    } else if (!this.#retryFailure(code, failed)) {
      this.#refuse(code);
    }
  }

  onUpstreamBug(error: unknown): void {
    this.#upstream = null;
    this.#endAttempt();
    this.#downstream.onBug(error);
  }

  /** The response takes too long; or the endpoint has not said whether it wants the content: ask for it ourselves. */
  onDeadline(nowMs: number): void {
    if (nowMs >= this.#answerBy) this.onRequestFailed("requestTimeout");
    else this.#sendContinue();
  }

  // Order of business.

  #reset(request: RequestMessage): void {
    this.#request = request;
    this.#live = null;
    this.#route = null;
    this.#alternative = null;
    this.#settings = defaultRouteSettings;
    this.#upstream = null;
    this.#tried.length = 0;
    this.#attemptAtMs = -1;
    this.#sessionKey = "";
    this.#tries = 0;
    this.#hasRetried = false;
    this.#hasRelayedInterim = false;
    this.#core.retryBudget.begin();
    this.#startedAt = this.#core.clock.nowMs();
    this.#triesSince = this.#startedAt;
    this.#status = 0;
    this.#bytesIn = 0;
    this.#bytesOut = 0;
    this.#isRequestComplete = !request.hasContent;
    this.#isRequestBlocked = false;
    this.#isResponseBlocked = false;
    this.#mayContinue = request.expectsContinue;
    this.#state = State.Connecting;
    this.method = request.method;
    this.draw = systemRandom();
    this.hasContent = request.hasContent;
    this.contentLength = request.contentLength;
  }

  /** The authority of an absolute-form target replaces Host (RFC 9112, 3.2.2). */
  #readTarget(request: RequestMessage): ErrorCode | null {
    let { target, hostField: authority } = request;
    if (target.charCodeAt(0) !== 47 && target !== "*") {
      const rest = target.slice(target.indexOf("//") + 2);
      const end = rest.search(/[/?]/);
      authority = end < 0 ? rest : rest.slice(0, end);
      if (end >= 0) target = rest.slice(end);
      // Without path and query OPTIONS asks about the server as a whole (RFC 9112, 3.2.4).
      else target = request.method === "OPTIONS" ? "*" : "/";
      if (target.startsWith("?")) target = `/${target}`;
    }
    this.authority = authority;
    this.target = target;
    // HTTP/1.0 without Host goes to the catch-all.
    const host = authority === "" && request.fields.find(FieldId.Host) < 0 ? "" : parseAuthority(authority);
    if (host === null) return "hostInvalid";
    this.host = host;
    const path = target === "*" ? "/" : normalizePath(target);
    if (path === null) return "targetInvalid";
    this.path = path;
    return null;
  }

  #prepareRequest(request: RequestMessage): void {
    const { authority } = this;
    const forwarded = requestLines(request.fields, request.connectionNames, this);
    const requestId = this.hasRequestId ? "" : `X-Request-ID: ${nextRequestId()}\r\n`;
    const expect = this.#mayContinue ? "Expect: 100-continue\r\n" : "";
    this.lines =
      `Host: ${authority}\r\n${forwarded}${expect}X-Forwarded-Host: ${authority}\r\n` +
      this.#downstream.forwardedLines +
      requestId;
    // With content the place where the tunnel begins would be a matter of opinion.
    const mayUpgrade = request.hasUpgrade && !request.hasContent;
    this.upgrade = mayUpgrade ? acceptableUpgrade(request.fields.get("upgrade") ?? "") : "";
  }

  /** Content that is known to be too large for it is passed on from the start. */
  #mustBuffer({ hasContent, contentLength }: RequestMessage): boolean {
    const { contentBufferMaxBytes } = this.#settings;
    return (
      hasContent &&
      contentBufferMaxBytes > 0 &&
      contentLength <= contentBufferMaxBytes &&
      !this.#core.contentBuffers.isFull
    );
  }

  #startBuffering(): void {
    this.#state = State.Buffering;
    this.#downstream.resumeContent();
  }

  /** One read more than the limit may be kept: what came is taken whole. */
  #bufferContent(buffer: Buffer, start: number, end: number): boolean {
    this.#buffer.append(buffer, start, end);
    const isFull = this.#buffer.bytes > this.#settings.contentBufferMaxBytes;
    if (!isFull && !this.#core.contentBuffers.isFull) return true;
    this.#endBuffering();
    // After a refusal the client's connection decides on the rest.
    return this.#state === State.Idle || this.wantsContent;
  }

  #endBuffering(): void {
    this.#triesSince = this.#core.clock.nowMs();
    this.#tryFirstEndpoint();
  }

  #tryFirstEndpoint(): void {
    const endpoint = this.#pick();
    if (endpoint === null) this.#refuse("noEndpoints");
    else this.#tryEndpoint(endpoint, false);
  }

  #pick(): EndpointHealth | null {
    return this.#live?.upstream(this.#upstreamIndex)?.balancer.pick(this.#tried, this) ?? null;
  }

  /** `endpoint`: of the last pick. */
  #tryEndpoint(endpoint: EndpointHealth, mustBeNew: boolean): void {
    if (this.#core.isOwnListener(endpoint.address, endpoint.port)) {
      this.#refuse("loopDetected");
      return;
    }
    this.#tried.push(endpoint);
    this.#tries += 1;
    this.#state = State.Connecting;
    this.#isRequestBlocked = false;
    const balancer = this.#live?.upstream(this.#upstreamIndex)?.balancer;
    this.#sessionKey = balancer?.sessionKey ?? "";
    this.#attemptAtMs = balancer?.measuresLatency === true ? this.#core.clock.nowMs() : -1;
    this.#attempt = endpoint;
    endpoint.started();
    const connection = this.#core.pools.get(endpoint).connect(this, this.#settings, mustBeNew);
    // Still connecting: kept, so that it can be given up when the client leaves.
    if (this.#isConnecting()) this.#upstream = connection;
  }

  /** A method, since the compiler takes the state for unchanged by the calls before. */
  #isConnecting(): boolean {
    return this.#state === State.Connecting;
  }

  /** Moves on to another endpoint after a failure, if it may. */
  #retryFailure(code: ErrorCode, failed: Upstream | null): boolean {
    const { retry } = proxyErrors[code];
    const isStale = retry === "error" && failed !== null && failed.isReused && !failed.hasReceived;
    const cause = isStale ? "stale" : retry;
    const wasSent = this.#state === State.Requesting;
    if (cause === null || !this.#mayRetry(cause, wasSent)) return false;
    if (isStale) {
      // It says nothing about its endpoint, which may be the only one.
      this.#tried.pop();
      this.#tries -= 1;
    }
    const endpoint = this.#pickForRetry(wasSent && !isStale);
    if (endpoint === null) return false;
    this.#core.metrics.retries.add(code);
    this.#tryEndpoint(endpoint, isStale);
    return true;
  }

  /** Moves on to another endpoint in place of a response, if it may. */
  #retryStatus(status: number): boolean {
    if (!this.#mayRetry(status, true)) return false;
    const endpoint = this.#pickForRetry(true);
    if (endpoint === null) return false;
    this.#core.metrics.retries.add(`http_${status}`);
    const upstream = this.#upstream;
    this.#upstream = null;
    this.#endAttempt();
    upstream?.discard();
    this.#tryEndpoint(endpoint, false);
    return true;
  }

  /** The only place that decides on a retry. Never once something of a response has gone to the client. */
  #mayRetry(cause: RetryCause | number, wasSent: boolean): boolean {
    const { causes, statuses, isNonIdempotentIncluded, triesMax, timeoutMs } = this.#settings.retries;
    const isListed = typeof cause === "number" ? statuses.includes(cause) : causes.includes(cause);
    if (!isListed || this.#hasRelayedInterim) return false;
    // Content that was taken from the client and is not kept is gone.
    if (this.#bytesIn > this.#buffer.bytes) return false;
    if (wasSent && !isNonIdempotentIncluded && !idempotentMethods.has(this.method)) return false;
    // nginx does not count a stale connection as a try either.
    if (triesMax > 0 && this.#tries >= triesMax && cause !== "stale") return false;
    return timeoutMs === 0 || this.#core.clock.nowMs() - this.#triesSince < timeoutMs;
  }

  /**
   * `mayRepeat`: an endpoint may have processed the request. Then it is not asked again, and the retry needs a place in
   * the budget; what never reached an endpoint costs none.
   */
  #pickForRetry(mayRepeat: boolean): EndpointHealth | null {
    const mustBeAnother = mayRepeat || this.#settings.retries.triesMax === 0;
    const endpoint = this.#pick();
    if (endpoint === null || (mustBeAnother && this.#tried.includes(endpoint))) return null;
    if (!mayRepeat || this.#hasRetried) return endpoint;
    this.#hasRetried = this.#core.retryBudget.take();
    if (this.#hasRetried) return endpoint;
    this.#core.metrics.retriesOverBudget += 1;
    return null;
  }

  /** The only place that answers for a failure. */
  #refuse(code: ErrorCode): void {
    const row = proxyErrors[code];
    this.#dropUpstream();
    this.#core.metrics.refused.add(code);
    if (row.closes) this.#downstream.closeAfterResponse();
    if (row.status === 0) {
      this.#status = row.origin === Origin.Downstream ? clientClosedStatus : 0;
      this.#downstream.abort(code);
      this.#finish();
      return;
    }
    const retryAfter = row.status === 503 ? `Retry-After: ${retryAfterSeconds}\r\n` : "";
    this.#generate(row.status, retryAfter);
  }

  #answer(answer: Answer): void {
    let lines = "";
    for (const { name, value } of answer.fields) lines += `${name}: ${value}\r\n`;
    this.#generate(answer.status, lines);
  }

  /** A response of our own, with the small page that belongs to its status, if any. */
  #generate(status: number, extraLines: string): void {
    const page = Buffer.from(errorPage(status), "latin1");
    const hasContent = this.method !== "HEAD";
    const type = page.length === 0 ? "" : "Content-Type: text/html\r\n";
    const lines = `Date: ${httpDate()}\r\n${type}${extraLines}${this.#edits().lines}`;
    const downstream = this.#downstream;
    this.#status = status;
    this.#bytesOut = hasContent ? page.length : 0;
    this.#finish();
    downstream.sendHead(status, reasonPhrases[status] ?? "", lines, page.length, hasContent);
    if (hasContent) downstream.sendContent(page, 0, page.length);
    downstream.sendEnd("");
  }

  #finish(): void {
    this.#stopWaiting();
    this.#buffer.clear();
    this.#endAttempt();
    const durationMs = this.#core.clock.nowMs() - this.#startedAt;
    if (this.#live !== null && this.#route !== null) {
      const cells = this.#live.cells(this.#route, this.#alternative);
      cells.observe(this.#status, this.method, durationMs, this.#bytesIn, this.#bytesOut);
    }
    this.#state = State.Idle;
    this.#request = null;
    this.#live = null;
    this.#route = null;
    this.#upstream = null;
    this.#core.retryBudget.end(this.#hasRetried);
  }

  /** After both halves the exchange is over; what is still to be written leaves with the ends of the connections. */
  #endTunnelHalf(): void {
    this.#tunnelHalves -= 1;
    if (this.#tunnelHalves > 0) return;
    this.#upstream?.release(true);
    this.#finish();
  }

  #dropUpstream(): void {
    const upstream = this.#upstream;
    if (this.#state === State.Connecting) this.#tried.at(-1)?.abandoned();
    this.#upstream = null;
    this.#endAttempt();
    upstream?.destroy();
  }

  /** Every way out of an attempt comes by here, some twice. */
  #endAttempt(): void {
    const endpoint = this.#attempt;
    if (endpoint === null) return;
    this.#attempt = null;
    endpoint.finished();
  }

  /** From the beginning of the attempt, connecting included, or from the end of the request if that is later. */
  #observeLatency(): void {
    const nowMs = this.#core.clock.nowMs();
    this.#attempt?.latency.observe(nowMs - this.#attemptAtMs, nowMs);
  }

  #responseLines(response: ResponseMessage): string {
    const lines = responseLines(response.fields, response.connectionNames, this.#edits(), httpDate());
    return this.#sessionKey === "" ? lines : lines + this.#sessionLine();
  }

  /** Tells the client where its session is, if its route says so. Only an endpoint's response begins a session. */
  #sessionLine(): string {
    const { sessionCookie } = this.#settings;
    const upstream = this.#live?.snapshot.table.upstreamSettings[this.#upstreamIndex];
    if (sessionCookie === null || upstream === undefined || upstream.affinity === null) return "";
    const session = { name: upstream.affinity.cookieName, key: this.#sessionKey, id: upstream.sessionId };
    return setCookieLine(sessionCookie, session, this);
  }

  #sendContinue(): void {
    if (!this.#mayContinue) return;
    this.#stopWaitingToContinue();
    this.#downstream.sendInterim(100, "");
  }

  #stopWaitingToContinue(): void {
    if (!this.#mayContinue) return;
    this.#mayContinue = false;
    if (this.#continueAt !== Infinity) this.#watch(Infinity, this.#answerBy);
  }

  #stopWaiting(): void {
    this.#mayContinue = false;
    if (this.deadlineAt !== Infinity) this.#watch(Infinity, Infinity);
  }

  #watch(continueAt: number, answerBy: number): void {
    this.#continueAt = continueAt;
    this.#answerBy = answerBy;
    this.deadlineAt = Math.min(continueAt, answerBy);
    if (this.deadlineAt === Infinity) this.#core.deadlines.delete(this);
    else this.#core.deadlines.add(this);
  }

  #edits(): ResponseEdits {
    if (this.#route === null) return noEdits;
    return this.#downstream.isTls ? this.#route.responseFieldsOverTls : this.#route.responseFields;
  }

  #isContentTooLarge(bytes: number): boolean {
    const { contentMaxBytes } = this.#settings;
    return contentMaxBytes > 0 && bytes > contentMaxBytes;
  }
}

/**
 * The protocol to offer to the endpoint; empty: none. `h2c` would open a tunnel past all routing (RFC 9113 has
 * withdrawn that upgrade), so it is not offered.
 */
function acceptableUpgrade(value: string): string {
  const protocols = value
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "" && !/^h2c?$/i.test(each));
  return protocols.join(", ");
}
