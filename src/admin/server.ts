// The admin port: health, metrics, and what Fairway made of the configuration. It only reads. /debug is for people on
// the same machine (or behind `kubectl port-forward`); everything else may be reached by probes and Prometheus.
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import { BlockList, isIP, type AddressInfo } from "node:net";
import { formatDiagnostic, type Diagnostic } from "../ir/diagnostic.ts";
import { SmallServer } from "../util/small-server.ts";
import { formatCluster, type ClusterView } from "./cluster-view.ts";
import { formatTable } from "./table-text.ts";
import type { TableView } from "./table-view.ts";

/** The live objects that the pages show. */
export interface AdminSubject {
  /** Null: requests are served. Otherwise why not, in a few words. */
  readonly notReadyReason: () => string | null;
  readonly metricsText: () => Promise<string>;
  readonly metricsContentType: string;
  /** Null before the first table. */
  readonly table: () => TableView | null | Promise<TableView | null>;
  readonly diagnostics: () => readonly Diagnostic[];
  /** Null: there is no cluster. */
  readonly cluster: () => ClusterView | null;
}

export interface AdminServerOptions {
  readonly subject: AdminSubject;
  readonly port: number;
  /** An address to bind; empty: all. */
  readonly host: string;
  /** Path of the liveness page, `/healthz`. */
  readonly healthCheckPath: string;
}

/** Probes and scrapes are few and small; a client that does otherwise is cut off. */
const requestTimeoutMs = 10_000;
const headMaxBytes = 8 * 1024;
/** Beyond it the oldest goes: a probe takes milliseconds, so it is whoever sits on connections that loses them. */
const connectionsMax = 256;

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #small: SmallServer;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    const server = http.createServer(
      {
        requestTimeout: requestTimeoutMs,
        headersTimeout: requestTimeoutMs,
        connectionsCheckingInterval: requestTimeoutMs / 2,
        maxHeaderSize: headMaxBytes,
      },
      // It catches everything itself.
      (request, response) => void this.#answer(request, response),
    );
    this.#small = new SmallServer(server, connectionsMax);
  }

  /** Rejects when the port cannot be bound. */
  listen(): Promise<AddressInfo> {
    return this.#small.listen(this.#options);
  }

  close(): Promise<void> {
    return this.#small.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let page: Page;
    try {
      page = await this.#page(request);
    } catch (cause) {
      page = text(500, `internal error: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
    request.resume();
    response.writeHead(page.status, {
      "content-type": page.contentType,
      "content-length": Buffer.byteLength(page.body),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...(page.status === 405 ? { allow: "GET, HEAD" } : {}),
    });
    response.end(request.method === "HEAD" ? undefined : page.body);
  }

  async #page(request: IncomingMessage): Promise<Page> {
    const [path = "", query = ""] = (request.url ?? "").split("?");
    const { subject, healthCheckPath } = this.#options;
    if (
      ![
        healthCheckPath,
        "/healthz",
        "/readyz",
        "/metrics",
        "/debug/table",
        "/debug/diagnostics",
        "/debug/cluster",
        "/",
      ].includes(path)
    ) {
      return text(404, "not found; / lists what there is");
    }
    if (request.method !== "GET" && request.method !== "HEAD") return text(405, "only GET and HEAD");
    if (path === healthCheckPath || path === "/healthz") return text(200, "ok");
    if (path === "/readyz") {
      const reason = subject.notReadyReason();
      return reason === null ? text(200, "ok") : text(503, `not ready: ${reason}`);
    }
    if (path === "/metrics") {
      return { status: 200, contentType: subject.metricsContentType, body: await subject.metricsText() };
    }
    if (path === "/") return text(200, indexText(healthCheckPath));
    if (!isLocal(request.socket.remoteAddress ?? "", request.headers.host ?? "localhost"))
      return text(403, "only from the same machine, by address or as localhost");
    const asJson = wantsJson(request, query);
    if (path === "/debug/table") return tablePage(await subject.table(), asJson);
    if (path === "/debug/cluster") return clusterPage(subject.cluster(), asJson);
    return diagnosticsPage(subject, asJson);
  }
}

function tablePage(table: TableView | null, asJson: boolean): Page {
  if (table === null) return text(503, "no table yet");
  return asJson ? json(table) : text(200, formatTable(table));
}

function clusterPage(cluster: ClusterView | null, asJson: boolean): Page {
  if (cluster === null) return text(404, "objects do not come from a cluster");
  return asJson ? json(cluster) : text(200, formatCluster(cluster));
}

function diagnosticsPage(subject: AdminSubject, asJson: boolean): Page {
  const diagnostics = subject.diagnostics();
  if (asJson) return json(diagnostics);
  if (diagnostics.length === 0) return text(200, "no diagnostics");
  return text(200, diagnostics.map((each) => `${each.severity}: ${formatDiagnostic(each)}`).join("\n"));
}

/**
 * The peer is on this machine, and the page was asked for by address or as localhost. The latter keeps out web pages
 * whose own name was made to resolve to 127.0.0.1 (DNS rebinding).
 */
export function isLocal(peerAddress: string, hostField: string): boolean {
  const peer = peerAddress.replace(/^::ffff:/, "");
  const family = isIP(peer);
  if (family === 0 || !loopback.check(peer, family === 4 ? "ipv4" : "ipv6")) return false;
  const host = hostField.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
  return host.toLowerCase() === "localhost" || isIP(host) !== 0;
}

function wantsJson(request: IncomingMessage, query: string): boolean {
  return (
    new URLSearchParams(query).get("format") === "json" ||
    (request.headers.accept ?? "").includes("application/json")
  );
}

function indexText(healthCheckPath: string): string {
  return [
    "Fairway",
    "",
    `${healthCheckPath}  ok while the process lives`,
    "/readyz  ok while requests are served",
    "/metrics  for Prometheus",
    "/debug/table  hosts, routes, upstreams, certificates (?format=json)",
    "/debug/cluster  the leader, and the status of Ingresses (?format=json)",
    "/debug/diagnostics  what is wrong with the objects (?format=json)",
  ].join("\n");
}

function text(status: number, body: string): Page {
  return { status, contentType: "text/plain; charset=utf-8", body: body.endsWith("\n") ? body : `${body}\n` };
}

function json(value: unknown): Page {
  return {
    status: 200,
    contentType: "application/json; charset=utf-8",
    body: `${JSON.stringify(value, null, 2)}\n`,
  };
}
