// A request on its way: what the client sent, as routing and filters see it, and as the endpoint gets it.
// One object for all requests of an exchange, one after the other; valid while the exchange runs.
import { nextRequestId } from "./core.ts";
import type { ErrorCode } from "./errors.ts";
import { FieldId, FieldSection } from "./field-section.ts";
import type { RequestView } from "./filter.ts";
import { flatten, requestLines, type RequestExtras } from "./forwarding.ts";
import type { Downstream, RequestMessage, UpstreamRequest } from "./ports.ts";
import { parseAuthority } from "./routing/host.ts";
import { normalizePath } from "./routing/path.ts";
import { systemRandom } from "../util/random.ts";

/** Stands for what cannot be read as a request. */
export const noRequest: RequestMessage = {
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

type ClientSide = Pick<Downstream, "isTls" | "clientAddress" | "forwardedLines">;

export class ForwardedRequest implements RequestView, UpstreamRequest, RequestExtras {
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
  readonly #client: ClientSide;
  #message: RequestMessage = noRequest;
  /** `host` is that of `authority`, which was valid. */
  #isHostKnown = false;
  /** What we tell the endpoint, the same for all requests of a connection with one authority. */
  #ownLines = "";

  constructor(client: ClientSide) {
    this.#client = client;
  }

  get isTls(): boolean {
    return this.#client.isTls;
  }

  get clientAddress(): string {
    return this.#client.clientAddress;
  }

  field(name: string): string | undefined {
    return this.#message.fields.get(name);
  }

  begin(message: RequestMessage): void {
    this.#message = message;
    this.method = message.method;
    this.draw = systemRandom();
    this.hasContent = message.hasContent;
    this.contentLength = message.contentLength;
  }

  /** The authority of an absolute-form target replaces Host (RFC 9112, 3.2.2). */
  readTarget(): ErrorCode | null {
    const message = this.#message;
    let { target, hostField: authority } = message;
    if (target.charCodeAt(0) !== 47 && target !== "*") {
      const rest = target.slice(target.indexOf("//") + 2);
      const end = rest.search(/[/?]/);
      authority = end < 0 ? rest : rest.slice(0, end);
      if (end >= 0) target = rest.slice(end);
      // Without path and query OPTIONS asks about the server as a whole (RFC 9112, 3.2.4).
      else target = message.method === "OPTIONS" ? "*" : "/";
      if (target.startsWith("?")) target = `/${target}`;
    }
    this.target = target;
    // Nearly always the same on a connection, and then the same strings again have their hashes already.
    const isKnown = this.#isHostKnown && authority === this.authority;
    if (!isKnown && !this.#readAuthority(authority)) return "hostInvalid";
    const path = target === "*" ? "/" : normalizePath(target);
    if (path === null) return "targetInvalid";
    this.path = path;
    return null;
  }

  #readAuthority(authority: string): boolean {
    this.authority = authority;
    this.#ownLines = "";
    // HTTP/1.0 without Host goes to the catch-all.
    const hasNone = authority === "" && this.#message.fields.find(FieldId.Host) < 0;
    const host = hasNone ? "" : parseAuthority(authority);
    this.#isHostKnown = host !== null && authority !== "";
    if (host === null) return false;
    this.host = host;
    return true;
  }

  /** Makes what the endpoint gets. `expectsContinue`: it is asked whether it wants the content. */
  prepare(expectsContinue: boolean): void {
    const { authority } = this;
    const message = this.#message;
    const forwarded = requestLines(message.fields, message.connectionNames, this);
    const requestId = this.hasRequestId ? "" : `X-Request-ID: ${nextRequestId()}\r\n`;
    const expect = expectsContinue ? "Expect: 100-continue\r\n" : "";
    if (this.#ownLines === "") {
      this.#ownLines = flatten(`X-Forwarded-Host: ${authority}\r\n${this.#client.forwardedLines}`);
    }
    this.lines = `Host: ${authority}\r\n${forwarded}${expect}${this.#ownLines}${requestId}`;
    // With content the place where the tunnel begins would be a matter of opinion.
    const mayUpgrade = message.hasUpgrade && !message.hasContent;
    this.upgrade = mayUpgrade ? acceptableUpgrade(message.fields.get("upgrade") ?? "") : "";
  }

  /** Whether the endpoint was offered what it has switched to. */
  hasOffered(upgrade: string): boolean {
    return this.upgrade.toLowerCase().split(", ").includes(upgrade.toLowerCase());
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
