// The proxies that are compared, each started as one process in front of the same backend.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, startProgram, startServer, stop, temporaryDirectory, type Child } from "./children.ts";
import { startFairway } from "./fairway.ts";
import { endpointSlice, ingress, ingressClass, service, toYaml } from "./manifests.ts";
import { haproxyConfig, nginxConfig } from "./peers/native.ts";

/** The authority of every request. */
export const HOST = "bench.example";
const START_TRIES = 3;
const READY_TIMEOUT_MS = 10_000;

export interface Peer {
  readonly name: string;
  readonly version: string;
  readonly port: number;
  readonly child: Child;
}

export const PEER_NAMES = ["fairway", "http-proxy", "undici", "nginx", "haproxy"] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** Undefined when the peer is an optional program that is not installed. */
export async function startPeer(
  name: PeerName,
  backendPort: number,
  fairwayWorkers: number,
): Promise<Peer | undefined> {
  switch (name) {
    case "fairway": {
      const { child, httpPort } = await startFairway(fairwayManifests(backendPort), fairwayWorkers);
      return { name, version: versionOf("../../package.json"), port: httpPort, child };
    }
    case "http-proxy":
    case "undici": {
      const { child, port } = await startServer(`./lib/peers/${name}.ts`, [String(backendPort)]);
      return { name, version: versionOf(`../../node_modules/${name}/package.json`), port, child };
    }
    case "nginx":
    case "haproxy":
      return startNative(name, backendPort);
  }
}

function versionOf(packageFile: string): string {
  const text = fs.readFileSync(new URL(packageFile, import.meta.url), "utf8");
  // A package.json always has a version.
  return (JSON.parse(text) as { version: string }).version;
}

function fairwayManifests(backendPort: number): string {
  const directory = temporaryDirectory();
  const route = ingress({ name: "bench", host: HOST, path: "/", service: "backend" });
  const text = toYaml(ingressClass(), service("backend"), endpointSlice("backend", backendPort), route);
  fs.writeFileSync(path.join(directory, "bench.yaml"), text);
  return directory;
}

async function startNative(name: "nginx" | "haproxy", backendPort: number): Promise<Peer | undefined> {
  const probe = spawnSync(name, ["-v"], { encoding: "utf8" });
  if (probe.error !== undefined) return undefined;
  const version = /\d+\.\d+\.\d+/.exec(probe.stdout + probe.stderr)?.[0] ?? "unknown";
  const directory = temporaryDirectory();
  for (let tries = 1; ; tries += 1) {
    const port = await freePort();
    const file = path.join(directory, `${name}.conf`);
    const write = name === "nginx" ? nginxConfig : haproxyConfig;
    fs.writeFileSync(file, write({ port, backendPort, directory }));
    const args = name === "nginx" ? ["-p", directory, "-e", "stderr", "-c", file] : ["-db", "-f", file];
    const child = startProgram(name, name, args);
    try {
      await Promise.race([accepts(port), child.died]);
      return { name, version, port, child };
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
