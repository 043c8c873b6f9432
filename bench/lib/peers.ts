// The proxies that are compared, each started as one process with one worker in front of the same backend, with a plain
// and a TLS listener. What they are told to do for a request is as equal as it gets; README.md says what is left.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate, type CertificatePair } from "../../certs/make.ts";
import { freePort, startProgram, startServer, stop, temporaryDirectory, type Child } from "./children.ts";
import { startFairway } from "./fairway.ts";
import { endpointSlice, ingress, ingressClass, service, tlsSecret, toYaml } from "./manifests.ts";
import { packageVersion, programVersion } from "./versions.ts";
import { caddyConfig, haproxyConfig, nginxConfig, type NativeOptions } from "./peers/native.ts";

/** The authority of every request. */
export const HOST = "bench.example";
const START_TRIES = 3;
const READY_TIMEOUT_MS = 10_000;
/** What each must add for the comparison to be one of equal work; some add more. */
const FORWARDED_FIELDS = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"];

export interface Peer {
  readonly name: PeerName;
  readonly version: string;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly child: Child;
}

/** `nginx-tuned` is nginx with proxy buffers for large content. */
export const PEER_NAMES = [
  "fairway",
  "nginx",
  "nginx-tuned",
  "haproxy",
  "caddy",
  "http-proxy",
  "undici",
] as const;
export type PeerName = (typeof PEER_NAMES)[number];

export interface PeerSet {
  readonly peers: readonly Peer[];
  readonly versions: Readonly<Record<string, string>>;
  /** Not installed. */
  readonly missing: readonly PeerName[];
}

export interface PeerOptions {
  readonly backendPort: number;
  /** Of the backend's answers, to check that each peer passes them on. */
  readonly contentBytes: number;
  /** Threads of Fairway. Default 1, as the peers have one. */
  readonly fairwayWorkers?: number;
  readonly progress: (line: string) => void;
}

/** Throws when one does not do what is compared, or when none is installed. */
export async function startPeers(names: readonly PeerName[], options: PeerOptions): Promise<PeerSet> {
  // The address too: wrk sends no other name than that of the URL.
  const certificate = await makeCertificate({ names: [HOST, "127.0.0.1"], keyType: "ec" });
  const peers: Peer[] = [];
  const missing: PeerName[] = [];
  for (const name of names) {
    const peer = await startPeer(name, certificate, options);
    if (peer === undefined) {
      missing.push(name);
      options.progress(`${name}: not installed`);
      continue;
    }
    await checkPeer(peer, options.contentBytes);
    options.progress(`${name} ${peer.version}: process ${peer.child.pid}`);
    peers.push(peer);
  }
  if (peers.length === 0) throw new Error("none of the peers is installed");
  return { peers, missing, versions: Object.fromEntries(peers.map(({ name, version }) => [name, version])) };
}

async function startPeer(
  name: PeerName,
  certificate: CertificatePair,
  options: PeerOptions,
): Promise<Peer | undefined> {
  const { backendPort, fairwayWorkers = 1 } = options;
  const directory = temporaryDirectory();
  switch (name) {
    case "fairway": {
      fs.writeFileSync(path.join(directory, "bench.yaml"), fairwayManifests(backendPort, certificate));
      const { child, httpPort, httpsPort } = await startFairway(directory, fairwayWorkers, [
        // For connections without a name that it knows: wrk's.
        "--default-ssl-certificate=bench/bench-tls",
      ]);
      return { name, version: packageVersion(), httpPort, httpsPort, child };
    }
    case "http-proxy":
    case "undici": {
      const { certificateFile, keyFile } = writePem(directory, certificate);
      const args = [String(backendPort), certificateFile, keyFile];
      const { child, port, tlsPort } = await startServer(`./lib/peers/${name}.ts`, args);
      return { name, version: packageVersion(name), httpPort: port, httpsPort: tlsPort, child };
    }
    default:
      return startNative(name, { backendPort, directory, ...writePem(directory, certificate) });
  }
}

/** One host, which answers plain requests too rather than redirect them. */
export function fairwayManifests(backendPort: number, certificate: CertificatePair): string {
  const annotations = { "nginx.ingress.kubernetes.io/ssl-redirect": "false" };
  const route = { name: "bench", host: HOST, path: "/", service: "backend", tlsSecret: "bench-tls" };
  return toYaml(
    ingressClass(),
    service("backend"),
    endpointSlice("backend", backendPort),
    tlsSecret("bench-tls", certificate),
    ingress({ ...route, annotations }),
  );
}

function writePem(directory: string, { chain, key }: CertificatePair): PemFiles {
  const files = {
    certificateFile: path.join(directory, "tls.crt"),
    keyFile: path.join(directory, "tls.key"),
    bothFile: path.join(directory, "tls.pem"),
  };
  fs.writeFileSync(files.certificateFile, chain);
  fs.writeFileSync(files.keyFile, key);
  fs.writeFileSync(files.bothFile, `${chain}\n${key}`);
  return files;
}

type PemFiles = Pick<NativeOptions, "certificateFile" | "keyFile" | "bothFile">;

interface Program {
  readonly command: string;
  readonly versionArgument: string;
  config(options: NativeOptions): string;
  args(configFile: string, directory: string): readonly string[];
}

const nginx: Program = {
  command: "nginx",
  versionArgument: "-v",
  config: (options) => nginxConfig(options, false),
  args: (file, directory) => ["-p", directory, "-e", "stderr", "-c", file],
};
const PROGRAMS: Readonly<Record<"nginx" | "nginx-tuned" | "haproxy" | "caddy", Program>> = {
  nginx,
  "nginx-tuned": { ...nginx, config: (options) => nginxConfig(options, true) },
  haproxy: {
    command: "haproxy",
    versionArgument: "-v",
    config: haproxyConfig,
    args: (file) => ["-db", "-f", file],
  },
  caddy: {
    command: "caddy",
    versionArgument: "version",
    config: caddyConfig,
    args: (file) => ["run", "--adapter", "caddyfile", "--config", file],
  },
};

async function startNative(
  name: keyof typeof PROGRAMS,
  options: Omit<NativeOptions, "httpPort" | "httpsPort">,
): Promise<Peer | undefined> {
  const program = PROGRAMS[name];
  const { command, versionArgument } = program;
  const version = programVersion(command, versionArgument);
  if (version === undefined) return undefined;
  const { directory } = options;
  const file = path.join(directory, `${name}.conf`);
  // Caddy is Go: this bounds it to one thread that runs at a time; its files go where they are removed.
  const environment = {
    GOMAXPROCS: "1",
    HOME: directory,
    XDG_DATA_HOME: directory,
    XDG_CONFIG_HOME: directory,
  };
  for (let tries = 1; ; tries += 1) {
    const [httpPort, httpsPort] = [await freePort(), await freePort()];
    fs.writeFileSync(file, program.config({ ...options, httpPort, httpsPort }));
    const child = startProgram(name, command, program.args(file, directory), environment);
    try {
      await Promise.race([accepts(httpPort), child.died]);
      return { name, version, httpPort, httpsPort, child };
    } catch (error) {
      await stop(child);
      if (tries === START_TRIES) throw error;
    }
  }
}

async function accepts(port: number): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await connects(port))) {
    if (performance.now() > deadline) throw new Error(`nothing listens on port ${port}`);
    await sleep(20);
  }
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Throws unless the peer passes the backend's content on unchanged and adds the forwarded fields, on both listeners. */
async function checkPeer(peer: Peer, contentBytes: number): Promise<void> {
  for (const url of [`http://127.0.0.1:${peer.httpPort}`, `https://127.0.0.1:${peer.httpsPort}`]) {
    const plain = await get(`${url}/`);
    if (plain.status !== 200 || plain.content !== "x".repeat(contentBytes)) {
      const found = `${plain.status}, ${plain.content.length} bytes`;
      throw new Error(`${peer.name}: wrong answer to GET ${url}/: ${found}\n${peer.child.output()}`);
    }
    const head = (await get(`${url}/echo`)).content.toLowerCase();
    const proto = url.slice(0, url.indexOf(":"));
    const missing = FORWARDED_FIELDS.filter((field) => !head.includes(`\r\n${field}: `));
    if (!head.includes(`\r\nhost: ${HOST}\r\n`)) missing.push("host");
    if (!head.includes(`\r\nx-forwarded-proto: ${proto}\r\n`)) missing.push(`x-forwarded-proto: ${proto}`);
    if (missing.length > 0)
      throw new Error(`${peer.name}: the request lacks ${missing.join(", ")}:\n${head}`);
  }
}

/** One request on a connection of its own. */
export function get(url: string, host = HOST): Promise<{ status: number; content: string }> {
  return new Promise((resolve, reject) => {
    // Self-signed; what is checked here is the proxy.
    const options = { agent: false, headers: { host }, servername: host, rejectUnauthorized: false } as const;
    const request = url.startsWith("https:") ? https.get(url, options) : http.get(url, options);
    request.on("error", reject);
    request.on("response", (response) => {
      let content = "";
      response.setEncoding("latin1");
      response.on("data", (chunk: string) => (content += chunk));
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, content }));
    });
  });
}
