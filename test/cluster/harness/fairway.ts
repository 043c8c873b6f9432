// `bin/fairway controller` as a process of its own, against the API server, and requests to it.
import http from "node:http";
import https from "node:https";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";
import { Process } from "./process.ts";

const program = fileURLToPath(new URL("../../../bin/fairway", import.meta.url));

export interface Answer {
  /** 0: none, and `body` says why. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** The name in the certificate; empty without TLS. */
  readonly certificate: string;
}

export interface FairwayOptions {
  readonly kubeconfig: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class Fairway {
  readonly process: Process;
  #ports = { http: 0, https: 0, admin: 0 };
  readonly #agents = [new http.Agent({ keepAlive: true }), new https.Agent({ keepAlive: true })] as const;

  /** Does not wait for anything; `ready` does. */
  constructor({ kubeconfig, args = [], env }: FairwayOptions) {
    const flags = ["--http-port=0", "--https-port=0", "--healthz-port=0", "--workers=1"];
    this.process = new Process(
      "fairway",
      program,
      ["controller", `--kubeconfig=${kubeconfig}`, ...flags, ...args],
      env,
    );
  }

  static async start(options: FairwayOptions): Promise<Fairway> {
    const fairway = new Fairway(options);
    await fairway.ready();
    return fairway;
  }

  get ports(): { readonly http: number; readonly https: number; readonly admin: number } {
    return this.#ports;
  }

  /** Until the first table serves. */
  async ready(): Promise<void> {
    const line = await this.process.line(/serving HTTP on port/);
    const [http = 0, https = 0, admin = 0] = [...line.matchAll(/port (\d+)/g)].map((match) =>
      Number(match[1]),
    );
    this.#ports = { http, https, admin };
  }

  /** Never rejects. */
  get(host: string, path = "/", headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const [agent] = this.#agents;
    return request(http, { port: this.#ports.http, path, agent, headers: { ...headers, host } });
  }

  /** Takes any certificate; the answer tells whose. */
  getTls(host: string, path = "/"): Promise<Answer> {
    const options = { port: this.#ports.https, path, servername: host, rejectUnauthorized: false };
    return request(https, { ...options, headers: { host }, agent: false });
  }

  admin(path: string): Promise<Answer> {
    return request(http, { port: this.#ports.admin, path, agent: false });
  }

  /** Waits until a host is answered with `status`, by `pod` when given. */
  async answers(host: string, status: number, pod = ""): Promise<Answer> {
    let last: Answer | null = null;
    return await eventually(
      async () => {
        last = await this.get(host);
        return last.status === status && (pod === "" || podOf(last) === pod) ? last : null;
      },
      {
        what: () =>
          `${status} ${pod} from ${host}; last: ${last?.status} ${last?.body.slice(0, 200)}\n${this.process.tail()}`,
      },
    );
  }

  /** As the admin page shows them. */
  async diagnostics(): Promise<string> {
    return (await this.admin("/debug/diagnostics")).body;
  }

  /** The value of one sample in the metrics: its name with labels as it is written. Null when there is none. */
  async metric(sample: string): Promise<number | null> {
    const { body } = await this.admin("/metrics");
    const line = body.split("\n").find((each) => each.startsWith(`${sample} `));
    return line === undefined ? null : Number(line.slice(sample.length));
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    for (const agent of this.#agents) agent.destroy();
    await this.process.end(signal);
  }
}

/** The pod that answered; empty when it was none. */
export function podOf(answer: Answer): string {
  if (answer.status !== 200) return "";
  return (JSON.parse(answer.body) as { pod?: string }).pod ?? "";
}

async function request(client: typeof http | typeof https, options: https.RequestOptions): Promise<Answer> {
  try {
    const outgoing = client.request({ ...options, host: "127.0.0.1" });
    outgoing.end();
    const [response] = (await once(outgoing, "response")) as [http.IncomingMessage];
    const socket = response.socket as { getPeerCertificate?: () => { subject?: { CN?: string } } };
    const certificate = socket.getPeerCertificate?.().subject?.CN ?? "";
    let body = "";
    for await (const chunk of response.setEncoding("utf8")) body += String(chunk);
    return { status: response.statusCode ?? 0, headers: response.headers, body, certificate };
  } catch (cause) {
    return { status: 0, headers: {}, body: String(cause), certificate: "" };
  }
}

/** Requests without a pause, a few at a time, until stopped. */
export class Traffic {
  readonly failures: string[] = [];
  #requests = 0;
  #isStopped = false;
  readonly #loops: readonly Promise<void>[];

  constructor(fairway: Fairway, hosts: readonly string[], parallel = 2) {
    this.#loops = Array.from({ length: parallel }, async () => {
      for (let index = 0; !this.#isStopped; index += 1) {
        const host = hosts[index % hosts.length] ?? "";
        const answer = await fairway.get(host);
        this.#requests += 1;
        if (answer.status !== 200)
          this.failures.push(`${host}: ${answer.status} ${answer.body.slice(0, 100)}`);
      }
    });
  }

  get requests(): number {
    return this.#requests;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#loops);
  }
}
