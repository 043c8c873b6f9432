// The manifests that reload.ts edits, and the four kinds of edits: each changes one file and says how a client sees
// that the change is live. Both positions of every edit answer 200, so any failed request is Fairway's doing: below
// the path that moves lies a route for everything.
import { X509Certificate } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { makeCertificate } from "../../certs/make.ts";
import * as manifests from "../lib/manifests.ts";
import type { Manifest } from "../lib/manifests.ts";

export const PLAIN_HOST = "bench.example";
export const TLS_HOST = "secure.example";
/** Every path of the load; `/other` is there for requests that no edit touches. */
export const PATHS = ["/left", "/right", "/canary", "/swap", "/other"] as const;

/** What shows that an edit is live: which backend answers a path, or which certificate a handshake gets. */
export type Probe =
  | { readonly kind: "backend"; readonly path: string; readonly name: BackendName }
  | { readonly kind: "certificate"; readonly fingerprint: string };

export type BackendName = "blue" | "green";
export const EDIT_KINDS = ["path", "canary", "endpoint", "certificate"] as const;
export type EditKind = (typeof EDIT_KINDS)[number];

export interface Edit {
  readonly kind: EditKind;
  readonly file: string;
  readonly text: string;
  readonly probe: Probe;
}

export interface Ports {
  readonly blue: number;
  readonly green: number;
}

type Position = 0 | 1;

export class Scene {
  readonly #directory: string;
  readonly #ports: Ports;
  readonly #certificates: readonly { chain: string; key: string }[];
  readonly #positions: Record<EditKind, Position> = { path: 0, canary: 0, endpoint: 0, certificate: 0 };

  static async create(directory: string, ports: Ports): Promise<Scene> {
    const certificates = [
      await makeCertificate({ names: [TLS_HOST] }),
      await makeCertificate({ names: [TLS_HOST] }),
    ];
    const scene = new Scene(directory, ports, certificates);
    scene.#write("base.yaml", manifests.toYaml(...baseManifests(ports)));
    for (const kind of EDIT_KINDS) {
      const { file, text } = scene.#edit(kind, 0);
      scene.#write(file, text);
    }
    return scene;
  }

  private constructor(
    directory: string,
    ports: Ports,
    certificates: readonly { chain: string; key: string }[],
  ) {
    this.#directory = directory;
    this.#ports = ports;
    this.#certificates = certificates;
  }

  /** The change to the other position of `kind`; `apply` makes it. */
  next(kind: EditKind): Edit {
    this.#positions[kind] = this.#positions[kind] === 0 ? 1 : 0;
    return this.#edit(kind, this.#positions[kind]);
  }

  /** Writes as editors do: in place, or into a file beside it that is then renamed. */
  apply(edit: Edit, way: "in place" | "rename"): void {
    if (way === "in place") {
      this.#write(edit.file, edit.text);
      return;
    }
    this.#write(`.${edit.file}.tmp`, edit.text);
    fs.renameSync(path.join(this.#directory, `.${edit.file}.tmp`), path.join(this.#directory, edit.file));
  }

  #write(file: string, text: string): void {
    fs.writeFileSync(path.join(this.#directory, file), text);
  }

  #edit(kind: EditKind, position: Position): Edit {
    switch (kind) {
      case "path": {
        const at = position === 0 ? "/left" : "/right";
        const moving = manifests.ingress({ name: "moving", host: PLAIN_HOST, path: at, service: "green" });
        return edit(kind, moving, { kind: "backend", path: at, name: "green" });
      }
      case "canary": {
        const name = position === 0 ? "blue" : "green";
        return edit(kind, canaryIngress(position * 100), { kind: "backend", path: "/canary", name });
      }
      case "endpoint": {
        const name = position === 0 ? "blue" : "green";
        const slice = manifests.endpointSlice("swap", this.#ports[name]);
        return edit(kind, slice, { kind: "backend", path: "/swap", name });
      }
      case "certificate": {
        const pair = this.#certificates[position];
        if (pair === undefined) throw new Error("there are two certificates");
        const fingerprint = new X509Certificate(pair.chain).fingerprint256;
        return edit(kind, manifests.tlsSecret("secure-tls", pair), { kind: "certificate", fingerprint });
      }
    }
  }
}

function edit(kind: EditKind, manifest: Manifest, probe: Probe): Edit {
  return { kind, file: `${kind}.yaml`, text: manifests.toYaml(manifest), probe };
}

function canaryIngress(weight: number): Manifest {
  return manifests.ingress({
    name: "canary",
    host: PLAIN_HOST,
    path: "/canary",
    service: "green",
    annotations: {
      "nginx.ingress.kubernetes.io/canary": "true",
      "nginx.ingress.kubernetes.io/canary-weight": String(weight),
    },
  });
}

function baseManifests(ports: Ports): Manifest[] {
  const { ingress, service, endpointSlice } = manifests;
  return [
    manifests.ingressClass(),
    service("blue"),
    endpointSlice("blue", ports.blue),
    service("green"),
    endpointSlice("green", ports.green),
    service("swap"),
    ingress({ name: "base", host: PLAIN_HOST, path: "/", service: "blue" }),
    ingress({ name: "stable", host: PLAIN_HOST, path: "/canary", service: "blue" }),
    ingress({ name: "swap", host: PLAIN_HOST, path: "/swap", service: "swap" }),
    ingress({ name: "secure", host: TLS_HOST, path: "/", service: "blue", tlsSecret: "secure-tls" }),
  ];
}
