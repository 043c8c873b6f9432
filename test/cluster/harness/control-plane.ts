// A real control plane on loopback: etcd, kube-apiserver and the controllers that tests need. There is no kubelet and
// no scheduler: tests make Pods and say themselves that they run (pods.ts).
import { randomBytes, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { makeCertificate, makeCertificateAuthority } from "../../../certs/make.ts";
import { noAccess, type Access } from "../../../src/kube-api/access.ts";
import { ApiClient } from "../../../src/kube-api/client.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { controlPlaneBinary } from "./binary.ts";
import { eventually } from "./eventually.ts";
import { Process } from "./process.ts";

const startTimeoutMs = 60_000;
const controllers = [
  "endpointslice-controller",
  "deployment-controller",
  "replicaset-controller",
  "namespace-controller",
  "garbage-collector-controller",
];

/** The API server reads its users once, at its start. Only admin may do anything before it is given roles. */
export const userNames = [
  "admin",
  "fairway",
  "second",
  "guest",
  "system:serviceaccount:fairway:fairway",
  "system:serviceaccount:ingress-nginx:fairway",
] as const;
export type UserName = (typeof userNames)[number];

interface User {
  readonly name: UserName;
  readonly token: string;
  readonly groups: readonly string[];
}

export class ControlPlane {
  readonly directory = mkdtempSync(path.join(os.tmpdir(), "fairway-cluster-"));
  /** May do everything. */
  readonly admin: ApiClient;
  readonly #ca: string;
  readonly #ports: { readonly etcd: number; readonly peer: number; readonly api: number };
  readonly #users: User[] = [];
  #etcd: Process | null = null;
  #api: Process | null = null;
  #controllers: Process | null = null;

  static async start(): Promise<ControlPlane> {
    const ca = await makeCertificateAuthority();
    const pair = await makeCertificate({ names: ["kubernetes", "localhost", "127.0.0.1"], ca });
    const [etcd = 0, peer = 0, api = 0] = await freePorts(3);
    const plane = new ControlPlane(ca.certificate, { etcd, peer, api });
    plane.#write("tls.crt", pair.chain);
    plane.#write("tls.key", pair.key);
    plane.#write("ca.crt", ca.certificate);
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    plane.#write("sa.key", privateKey.export({ type: "pkcs8", format: "pem" }));
    plane.#write("sa.pub", publicKey.export({ type: "spki", format: "pem" }));
    try {
      plane.#startEtcd();
      await plane.startApiServer();
    } catch (cause) {
      await plane.stop();
      throw cause;
    }
    return plane;
  }

  private constructor(ca: string, ports: { etcd: number; peer: number; api: number }) {
    this.#ca = ca;
    this.#ports = ports;
    for (const name of userNames) {
      this.#users.push({ name, token: token(), groups: name === "admin" ? ["system:masters"] : [] });
    }
    this.#writeUsers();
    this.admin = this.client("admin");
  }

  get apiPort(): number {
    return this.#ports.api;
  }

  get apiServer(): Process {
    if (this.#api === null) throw new Error("the API server is not running");
    return this.#api;
  }

  /** With the token of a user. `port`: that of a proxy in front of the API server. */
  access(user: UserName, port = this.#ports.api): Access {
    return {
      ...noAccess,
      server: `https://127.0.0.1:${port}`,
      certificateAuthority: { text: this.#ca },
      token: { text: this.#tokenOf(user) },
    };
  }

  client(user: UserName): ApiClient {
    return new ApiClient({ access: this.access(user), clock: systemClock, limit: null, userAgent: "test" });
  }

  /** The path of a kubeconfig. */
  kubeconfig(user: UserName, port = this.#ports.api): string {
    const name = "test";
    return this.#write(
      `kubeconfig-${user}-${port}`,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        "current-context": name,
        contexts: [{ name, context: { cluster: name, user } }],
        clusters: [
          {
            name,
            cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority": "ca.crt" },
          },
        ],
        users: [{ name: user, user: { token: this.#tokenOf(user) } }],
      }),
    );
  }

  async startApiServer(): Promise<void> {
    const { api, etcd } = this.#ports;
    const file = (name: string): string => path.join(this.directory, name);
    this.#api = new Process("kube-apiserver", controlPlaneBinary(), [
      "kube-apiserver",
      `--etcd-servers=http://127.0.0.1:${etcd}`,
      "--bind-address=127.0.0.1",
      // Any address that is not loopback; nobody is told of it, and there is no default route to derive one from.
      "--advertise-address=10.244.255.254",
      `--secure-port=${api}`,
      `--tls-cert-file=${file("tls.crt")}`,
      `--tls-private-key-file=${file("tls.key")}`,
      `--cert-dir=${this.directory}`,
      `--token-auth-file=${file("tokens.csv")}`,
      "--authorization-mode=RBAC",
      "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-signing-key-file=${file("sa.key")}`,
      `--service-account-key-file=${file("sa.pub")}`,
      "--service-cluster-ip-range=10.96.0.0/16",
      "--endpoint-reconciler-type=none",
      // A cluster of tests has no use for the guesses about fairness, and 1,000 objects at once are meant.
      "--enable-priority-and-fairness=false",
      "--max-requests-inflight=0",
      "--max-mutating-requests-inflight=0",
    ]);
    await this.#ready();
    // Controllers that have waited for an API server wait half a minute longer; new ones do not.
    await this.#controllers?.end("SIGKILL");
    this.#startControllers();
  }

  /** As if the machine had lost power, unless `signal` is kinder. */
  async stopApiServer(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#api?.end(signal);
    this.#api = null;
  }

  /** Drops the history of etcd: watches that start before now are answered with 410. */
  async compact(): Promise<void> {
    const call = async (operation: string, body: unknown): Promise<unknown> => {
      const response = await fetch(`http://127.0.0.1:${this.#ports.etcd}/v3/${operation}`, {
        method: "POST",
        body: JSON.stringify(body),
      });
      return await response.json();
    };
    // `/` to `0`, as base64: every key of Kubernetes.
    const range = { key: "Lw==", range_end: "MA==", count_only: true };
    const { header } = (await call("kv/range", range)) as { header: { revision: string } };
    await call("kv/compaction", { revision: header.revision, physical: true });
  }

  async stop(): Promise<void> {
    this.admin.close();
    await this.#controllers?.end("SIGKILL");
    await this.#api?.end("SIGKILL");
    await this.#etcd?.end("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }

  #startEtcd(): void {
    const { etcd, peer } = this.#ports;
    this.#etcd = new Process("etcd", controlPlaneBinary(), [
      "etcd",
      "--name=default",
      `--data-dir=${path.join(this.directory, "etcd")}`,
      "--unsafe-no-fsync",
      `--listen-client-urls=http://127.0.0.1:${etcd}`,
      `--advertise-client-urls=http://127.0.0.1:${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
      "--log-level=error",
    ]);
  }

  #startControllers(): void {
    this.#controllers = new Process("kube-controller-manager", controlPlaneBinary(), [
      "kube-controller-manager",
      `--kubeconfig=${this.kubeconfig("admin")}`,
      `--controllers=${controllers.join(",")}`,
      "--leader-elect=false",
      "--secure-port=0",
      "--min-resync-period=1h",
    ]);
  }

  async #ready(): Promise<void> {
    const api = this.apiServer;
    await eventually(
      async () => {
        if (api.isEnded) throw new Error(`kube-apiserver has ended:\n${api.tail()}`);
        if (this.#etcd?.isEnded === true) throw new Error(`etcd has ended:\n${this.#etcd.tail()}`);
        // Works once the roles and namespaces of the system are there, and addresses for Services can be had.
        return await this.admin
          .call({
            method: "POST",
            path: "/api/v1/namespaces/default/services",
            query: { dryRun: "All" },
            body: {
              apiVersion: "v1",
              kind: "Service",
              metadata: { name: "ready" },
              spec: { ports: [{ port: 80 }] },
            },
          })
          .then(() => true)
          .catch(() => false);
      },
      { what: () => `a ready API server:\n${api.tail()}`, timeoutMs: startTimeoutMs },
    );
  }

  #tokenOf(user: UserName): string {
    return this.#users.find(({ name }) => name === user)?.token ?? "";
  }

  #writeUsers(): void {
    const rows = this.#users.map(
      ({ name, token, groups }) => `${token},${name},${name},"${groups.join(",")}"`,
    );
    this.#write("tokens.csv", `${rows.join("\n")}\n`);
  }

  #write(name: string, text: string): string {
    const file = path.join(this.directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }
}

function token(): string {
  return randomBytes(16).toString("hex");
}

/** Below the ports that the kernel gives to connections; each worker of the suite has its own hundred. */
let nextPort = 20_000 + 100 * Number(process.env["VITEST_POOL_ID"] ?? 0);

async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    nextPort += 1;
    if (await isFree(nextPort)) ports.push(nextPort);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer();
  const isListening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (isListening) await new Promise<void>((resolve) => void server.close(() => resolve()));
  return isListening;
}
