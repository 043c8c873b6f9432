// A copy of the demo's manifests in a directory of its own, with its backends on free ports.
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { demoBackends, demoDirectory } from "../../src/cli/demo.ts";
import { startEchoBackend, type EchoBackend } from "../../src/cli/echo-backend.ts";

export class DemoCopy {
  readonly directory = mkdtempSync(path.join(os.tmpdir(), "fairway-demo-"));
  readonly #backends: EchoBackend[] = [];

  static async create(): Promise<DemoCopy> {
    const copy = new DemoCopy();
    cpSync(demoDirectory, copy.directory, { recursive: true });
    for (const [name, port] of Object.entries(demoBackends)) {
      const backend = await copy.startBackend(name);
      copy.edit("services.yaml", (text) => text.replace(`port: ${port}\n`, `port: ${backend.port}\n`));
    }
    return copy;
  }

  async startBackend(name: string): Promise<EchoBackend> {
    const backend = await startEchoBackend(name, 0);
    this.#backends.push(backend);
    return backend;
  }

  /** As editors save: a new file in place of the old one. Throws when nothing changes. */
  edit(file: string, change: (text: string) => string): void {
    const target = path.join(this.directory, file);
    const before = readFileSync(target, "utf8");
    const after = change(before);
    if (after === before) throw new Error(`the edit of ${file} changes nothing`);
    writeFileSync(`${target}.new`, after);
    renameSync(`${target}.new`, target);
  }

  async close(): Promise<void> {
    await Promise.all(this.#backends.map((backend) => backend.close()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}
