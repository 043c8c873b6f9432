// One request and its response: the order of business of the data plane. Read this first.
//   begin -> decide -> answer, or: read small content -> pick an endpoint -> connect -> send -> relay the response -> finish
// It knows no wire format: the client's connection and the endpoint's are ports (ports.ts). One exchange serves all
// requests of a connection (or of a stream), one after the other; everything is reset in `begin`.
import { Attempts } from "./attempts.ts";
import { ContentBuffer } from "./content-buffer.ts";
import type { ProxyCore } from "./core.ts";
import { Origin, proxyErrors, type ErrorCode } from "./errors.ts";
import { ForwardedRequest, noRequest } from "./forwarded-request.ts";
import { interimLines } from "./forwarding.ts";
import {
  answerOf,
  clientClosedStatus,
  refusal,
  sendGenerated,
  type GeneratedResponse,
} from "./generated-response.ts";
import { MatchedRoute } from "./matched-route.ts";
import type {
  Downstream,
  DownstreamEvents,
  RequestMessage,
  ResponseMessage,
  Upstream,
  UpstreamEvents,
} from "./ports.ts";
import { ResponseRelay } from "./response-relay.ts";
import { ResponseWait, type WaitingExchange } from "./response-wait.ts";
import type { EndpointHealth } from "./upstream/health.ts";

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

export class Exchange implements DownstreamEvents, UpstreamEvents, WaitingExchange {
  readonly #core: ProxyCore;
  readonly #downstream: Downstream;
  #state: State = State.Idle;
  readonly #request: ForwardedRequest;
  readonly #matched: MatchedRoute;
  readonly #attempts: Attempts;
  readonly #wait: ResponseWait;
  #upstream: Upstream | null = null;
  /** The content that was taken from the client, as long as all of it is here. */
  readonly #buffer: ContentBuffer;
  readonly #relay: ResponseRelay;
  #hasRelayedInterim = false;
  #startedAt = 0;
  #status = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #isRequestComplete = true;
  #isRequestBlocked = false;
  /** Directions of a tunnel that are open. */
  #tunnelHalves = 0;

  constructor(core: ProxyCore, downstream: Downstream) {
    this.#core = core;
    this.#downstream = downstream;
    this.#request = new ForwardedRequest(downstream);
    this.#matched = new MatchedRoute(this.#request);
    this.#attempts = new Attempts(core, this.#request);
    this.#wait = new ResponseWait(core.deadlines, this);
    this.#buffer = new ContentBuffer(core.contentBuffers);
    this.#relay = new ResponseRelay(downstream, core.contentBuffers);
  }

  /** Request content may be handed over now. */
  get wantsContent(): boolean {
    if (this.#state === State.Buffering) return true;
    return this.#upstream !== null && !this.#isRequestBlocked && this.#state !== State.Connecting;
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
    const error = this.#request.readTarget();
    if (error !== null) {
      this.#refuse(error);
      return;
    }
    const decision = this.#matched.decide(live);
    if (decision.kind === "answer") {
      this.#generate(answerOf(decision.answer, this.#matched.edits.lines));
    } else if (decision.kind === "refuse") {
      this.#refuse(decision.code);
    } else if (this.#matched.isContentTooLarge(request.contentLength)) {
      this.#refuse("contentTooLarge");
    } else {
      this.#forward(request);
    }
  }

  /** What came in place of a request cannot be read as one. */
  reject(code: ErrorCode): void {
    this.#reset(noRequest);
    this.#refuse(code);
  }

  onContent(buffer: Buffer, start: number, end: number): boolean {
    this.#bytesIn += end - start;
    if (this.#matched.isContentTooLarge(this.#bytesIn)) {
      this.onRequestFailed("contentTooLarge");
      return false;
    }
    this.#wait.takeContinue();
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
      this.#request.contentLength = this.#bytesIn;
      this.#attempts.startClock();
      this.#tryFirstEndpoint();
    } else {
      this.#attempts.onRequestSent();
      this.#upstream?.sendEnd("");
    }
  }

  onDownstreamReadDone(): void {
    this.#upstream?.flush();
  }

  onDownstreamDrain(): void {
    if (this.#relay.drain()) this.#upstream?.resume();
    if (this.#relay.isComplete) this.#endResponse();
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
    upstream.sendRequest(this.#request);
    if (!this.#request.hasContent) return;
    for (const piece of this.#buffer.pieces) {
      this.#isRequestBlocked = !upstream.sendContent(piece, 0, piece.length);
    }
    if (this.#isRequestComplete) {
      upstream.sendEnd("");
      return;
    }
    upstream.flush();
    if (this.#isRequestBlocked) return;
    if (this.#wait.mayContinue) {
      this.#wait.setContinueAt(this.#core.clock.nowMs() + this.#core.limits.continueTimeoutMs);
    }
    this.#downstream.resumeContent();
  }

  onUpstreamInterim(response: ResponseMessage): void {
    if (response.status === 100) this.askForContent();
    else if (this.#downstream.takesInterim) {
      this.#hasRelayedInterim = true;
      this.#downstream.sendInterim(response.status, interimLines(response.fields, response.connectionNames));
    }
  }

  onUpstreamHead(response: ResponseMessage): void {
    this.#attempts.onResponse(response.status, this.#isRequestComplete);
    if (response.status >= 400 && this.#retryStatus(response.status)) return;
    this.#state = State.Responding;
    this.#status = response.status;
    this.#buffer.clear();
    this.#wait.end();
    // A response that overtakes its request leaves no certain place where the next request starts.
    if (!this.#isRequestComplete) this.#downstream.closeAfterResponse();
    this.#relay.begin(response.fields, this.#matched.settings);
    const lines = this.#matched.responseLines(response, this.#attempts.sessionKey);
    const { status, reason, contentLength, hasContent } = response;
    this.#downstream.sendHead(status, reason, lines, contentLength, hasContent);
  }

  onUpstreamContent(buffer: Buffer, start: number, end: number): void {
    this.#bytesOut += end - start;
    if (!this.#relay.send(buffer, start, end)) this.#upstream?.pause();
  }

  onUpstreamEnd(trailers: string): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    this.#attempts.onResponseEnd();
    this.#attempts.end();
    upstream?.release(this.#isRequestComplete);
    this.#relay.end(this.#request.takesTrailers ? trailers : "");
    if (this.#relay.isComplete) this.#endResponse();
  }

  onUpstreamSwitched(response: ResponseMessage): void {
    const upgrade = response.fields.get("upgrade") ?? "";
    if (!this.#request.hasOffered(upgrade)) {
      this.#dropUpstream();
      this.#refuse("upstreamInvalid");
      return;
    }
    this.#state = State.Tunnel;
    this.#wait.end();
    this.#tunnelHalves = 2;
    this.#status = 101;
    const lines = this.#matched.responseLines(response, this.#attempts.sessionKey);
    this.#downstream.startTunnel(`${lines}Upgrade: ${upgrade}\r\n`);
  }

  onUpstreamTunnelBytes(buffer: Buffer, start: number, end: number): void {
    this.#bytesOut += end - start;
    if (this.#downstream.sendTunnelBytes(buffer, start, end)) return;
    if (this.#relay.pause()) this.#upstream?.pause();
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

  onUpstreamFailed(code: ErrorCode, detail: string): void {
    const failed = this.#upstream;
    this.#upstream = null;
    if (this.#state === State.Responding) this.#attempts.onResponseCut(detail);
    this.#attempts.end();
    if (this.#state === State.Responding || this.#state === State.Tunnel) {
      const seen = this.#state === State.Responding ? "upstreamTruncated" : code;
      this.#core.metrics.refused.add(seen);
      this.#downstream.abort(seen);
      this.#finish();
    } else {
      const wasSent = this.#state === State.Requesting;
      const endpoint = this.#attempts.nextAfterFailure(code, failed, wasSent, this.#isRepeatable());
      if (endpoint === null) this.#refuse(code);
      else this.#tryEndpoint(endpoint);
    }
  }

  onUpstreamBug(error: unknown): void {
    this.#upstream = null;
    this.#attempts.end();
    this.#downstream.onBug(error);
  }

  // Time.

  onAnswerTimeout(): void {
    this.onRequestFailed("requestTimeout");
  }

  /** The client that holds its content back is told, once, that it may send it. */
  askForContent(): void {
    if (this.#wait.takeContinue()) this.#downstream.sendInterim(100, "");
  }

  // Order of business.

  #reset(request: RequestMessage): void {
    const nowMs = this.#core.clock.nowMs();
    this.#request.begin(request);
    this.#attempts.begin(nowMs);
    this.#upstream = null;
    this.#hasRelayedInterim = false;
    this.#startedAt = nowMs;
    this.#status = 0;
    this.#bytesIn = 0;
    this.#bytesOut = 0;
    this.#isRequestComplete = !request.hasContent;
    this.#isRequestBlocked = false;
    this.#wait.mayContinue = request.expectsContinue;
    this.#state = State.Connecting;
  }

  #forward(request: RequestMessage): void {
    const { requestTimeoutMs } = this.#matched.settings;
    if (requestTimeoutMs > 0) this.#wait.setAnswerBy(this.#startedAt + requestTimeoutMs);
    this.#attempts.choose(this.#matched.upstream, this.#matched.settings);
    const mustBuffer = this.#matched.keepsContent(request) && !this.#core.contentBuffers.isFull;
    // The endpoint cannot be asked whether it wants the content: there is none yet.
    if (mustBuffer) this.askForContent();
    this.#request.prepare(this.#wait.mayContinue);
    if (mustBuffer) {
      this.#state = State.Buffering;
      this.#downstream.resumeContent();
    } else {
      this.#tryFirstEndpoint();
    }
  }

  /** One read more than the limit may be kept: what came is taken whole. */
  #bufferContent(buffer: Buffer, start: number, end: number): boolean {
    this.#buffer.append(buffer, start, end);
    const isFull = this.#buffer.bytes > this.#matched.settings.contentBufferMaxBytes;
    if (!isFull && !this.#core.contentBuffers.isFull) return true;
    this.#attempts.startClock();
    this.#tryFirstEndpoint();
    // After a refusal the client's connection decides on the rest.
    return this.#state === State.Idle || this.wantsContent;
  }

  #tryFirstEndpoint(): void {
    const endpoint = this.#attempts.pick();
    if (endpoint === null) this.#refuse("noEndpoints");
    else this.#tryEndpoint(endpoint);
  }

  /** `endpoint`: of the last pick. */
  #tryEndpoint(endpoint: EndpointHealth): void {
    if (this.#core.isOwnListener(endpoint.address, endpoint.port)) {
      this.#refuse("loopDetected");
      return;
    }
    this.#state = State.Connecting;
    this.#isRequestBlocked = false;
    this.#attempts.start(endpoint);
    const { mustBeNew } = this.#attempts;
    const connection = this.#core.pools.get(endpoint).connect(this, this.#matched.settings, mustBeNew);
    // Still connecting: kept, so that it can be given up when the client leaves.
    if (this.#isConnecting()) this.#upstream = connection;
  }

  /** A method, since the compiler takes the state for unchanged by the calls before. */
  #isConnecting(): boolean {
    return this.#state === State.Connecting;
  }

  /** Moves on to another endpoint in place of a response, if it may. */
  #retryStatus(status: number): boolean {
    const endpoint = this.#attempts.nextAfterStatus(status, this.#isRepeatable());
    if (endpoint === null) return false;
    const upstream = this.#upstream;
    this.#upstream = null;
    this.#attempts.end();
    upstream?.discard();
    this.#tryEndpoint(endpoint);
    return true;
  }

  /** Content that was taken from the client and is not kept is gone; what the client has got of a response stays. */
  #isRepeatable(): boolean {
    return !this.#hasRelayedInterim && this.#bytesIn <= this.#buffer.bytes;
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
    this.#generate(refusal(row.status, this.#matched.edits.lines));
  }

  #generate(response: GeneratedResponse): void {
    const hasContent = this.#request.method !== "HEAD";
    this.#status = response.status;
    this.#bytesOut = hasContent ? response.page.length : 0;
    this.#finish();
    sendGenerated(this.#downstream, response, hasContent);
  }

  #endResponse(): void {
    const { trailers } = this.#relay;
    // The exchange is free before the client's connection hears of it, for that begins the next request.
    this.#finish();
    this.#downstream.sendEnd(trailers);
  }

  #finish(): void {
    this.#wait.end();
    this.#relay.reset();
    this.#buffer.clear();
    this.#attempts.end();
    const durationMs = this.#core.clock.nowMs() - this.#startedAt;
    this.#matched.count(this.#status, durationMs, this.#bytesIn, this.#bytesOut);
    this.#matched.forget();
    this.#state = State.Idle;
    this.#upstream = null;
    // Last: should anything above throw, all of this is done again.
    this.#attempts.finish();
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
    if (this.#state === State.Connecting) this.#attempts.abandon();
    this.#upstream = null;
    this.#attempts.end();
    upstream?.destroy();
  }
}
