// Where the current request of an exchange was routed, and what follows from it: settings, the fields of every response
// of the route, the session cookie, and the counters. Routing itself is decide().
import { httpDate } from "./core.ts";
import type { RequestView, RouteSettings } from "./filter.ts";
import { responseLines } from "./forwarding.ts";
import type { Live, LiveUpstream } from "./live.ts";
import type { RequestMessage, ResponseMessage } from "./ports.ts";
import { decide } from "./routing/decide.ts";
import type { CompiledAlternative, CompiledRoute, Decision, ResponseEdits } from "./routing/snapshot.ts";
import { defaultRouteSettings } from "./routing/compile-host.ts";
import { setCookieLine } from "./upstream/session.ts";

const noEdits: ResponseEdits = { names: [], lines: "" };

export class MatchedRoute {
  /** The defaults, as long as no route is known. */
  settings: Readonly<RouteSettings> = defaultRouteSettings;
  readonly #request: RequestView;
  #live: Live | null = null;
  #route: CompiledRoute | null = null;
  #alternative: CompiledAlternative | null = null;
  #upstreamIndex = -1;

  constructor(request: RequestView) {
    this.#request = request;
  }

  /** Takes the snapshot that the request keeps to its end. */
  decide(live: Live): Decision {
    const decision = decide(live.snapshot, this.#request);
    this.#live = live;
    this.#route = decision.route;
    this.settings = decision.route.settings;
    if (decision.kind === "forward") {
      this.#upstreamIndex = decision.upstream;
      this.#alternative = decision.alternative;
    }
    return decision;
  }

  forget(): void {
    this.#live = null;
    this.#route = null;
    this.#alternative = null;
    this.settings = defaultRouteSettings;
  }

  get upstream(): LiveUpstream | null {
    return this.#live?.upstream(this.#upstreamIndex) ?? null;
  }

  /** Field lines of every response of the route. */
  get edits(): ResponseEdits {
    if (this.#route === null) return noEdits;
    return this.#request.isTls ? this.#route.responseFieldsOverTls : this.#route.responseFields;
  }

  isContentTooLarge(bytes: number): boolean {
    const { contentMaxBytes } = this.settings;
    return contentMaxBytes > 0 && bytes > contentMaxBytes;
  }

  /** Whether content is read before an endpoint is chosen. What is known to be too large for that never is. */
  keepsContent({ hasContent, contentLength }: RequestMessage): boolean {
    const { contentBufferMaxBytes } = this.settings;
    return hasContent && contentBufferMaxBytes > 0 && contentLength <= contentBufferMaxBytes;
  }

  /** What the client gets of an endpoint's field lines. `sessionKey`: of the session that begins with it, or empty. */
  responseLines(response: ResponseMessage, sessionKey: string): string {
    const lines = responseLines(response.fields, response.connectionNames, this.edits, httpDate);
    return sessionKey === "" ? lines : lines + this.#sessionLine(sessionKey);
  }

  /** Tells the client where its session is, if its route says so. Only an endpoint's response begins a session. */
  #sessionLine(key: string): string {
    const { sessionCookie } = this.settings;
    const upstream = this.#live?.snapshot.table.upstreamSettings[this.#upstreamIndex];
    if (sessionCookie === null || upstream === undefined || upstream.affinity === null) return "";
    const session = { name: upstream.affinity.cookieName, key, id: upstream.sessionId };
    return setCookieLine(sessionCookie, session, this.#request);
  }

  /** Counts a request that is over. One that no route took counts only as refused. */
  count(status: number, durationMs: number, bytesIn: number, bytesOut: number): void {
    if (this.#live === null || this.#route === null) return;
    const cells = this.#live.cells(this.#route, this.#alternative);
    cells.observe(status, this.#request.method, durationMs, bytesIn, bytesOut);
  }
}
