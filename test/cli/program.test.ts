import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { demoBackends, trials } from "../../src/cli/demo.ts";
import { DemoCopy } from "./demo-copy.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const program = path.join(root, "bin/fairway");
const anyPorts = ["--http-port=0", "--https-port=0", "--healthz-port=0"];

let copy: DemoCopy;
beforeAll(async () => {
  copy = await DemoCopy.create();
});
afterAll(() => copy.close());

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program as users start it; killed at the end of the test if it should still run. */
class Run {
  readonly child: ChildProcess;
  readonly exited: Promise<Result>;
  #stdout = "";
  #stderr = "";

  constructor(...words: string[]) {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], cwd: root });
    this.child = child;
    child.stdout.on("data", (data) => {
      this.#stdout += String(data);
    });
    child.stderr.on("data", (data) => {
      this.#stderr += String(data);
    });
    this.exited = once(child, "close").then(([code]) => ({
      code: code as number | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** Resolves with the match once the program has printed it. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#stdout + this.#stderr);
      if (match !== null) return match;
      if (this.child.exitCode !== null) throw new Error(`ended early: ${this.#stdout}${this.#stderr}`);
      await Promise.race([
        once(this.child.stdout!, "data"),
        once(this.child.stderr!, "data"),
        once(this.child, "close"),
      ]);
    }
  }

  [Symbol.dispose](): void {
    if (this.child.exitCode === null) this.child.kill("SIGKILL");
  }
}

async function run(...words: string[]): Promise<Result> {
  using started = new Run(...words);
  return await started.exited;
}

test("--version prints the version of the package", async () => {
  const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
    version: string;
  };
  expect(await run("--version")).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});

test("without words it prints how it is used", async () => {
  const { code, stderr } = await run();
  expect(code).toBe(1);
  expect(stderr).toContain("Usage: fairway");
});

describe("a command line that is wrong ends with 1 and one line", () => {
  test.each([
    [["controller", "--htp-port=1"], "unknown flag --htp-port (did you mean --http-port?)"],
    [["controller", "--enable-ssl-passthrough"], "Fairway does not support yet"],
    [["controller", "--http-port=x"], "expected a port"],
    [["controller"], "neither --kubeconfig, --apiserver-host nor --manifests is given"],
    [["controller", "--kubeconfig=/nowhere"], "cannot read --kubeconfig /nowhere (ENOENT)"],
    [
      ["controller", "--manifests=.", "--apiserver-host=a:1"],
      "--manifests and --apiserver-host exclude each other",
    ],
    [
      ["controller", "--watch-namespace=a", "--watch-namespace-selector=b"],
      "--watch-namespace and --watch-namespace-selector exclude each other",
    ],
    [
      ["controller", "--publish-service=a/b", "--publish-status-address=203.0.113.1"],
      "--publish-service and --publish-status-address exclude each other",
    ],
    [
      ["controller", "--manifests=.", "--election-ttl=1m30s"],
      "--manifests and --election-ttl exclude each other",
    ],
    [["controller", "--watch-namespace-selector=a=b=c"], "expected a label selector"],
    [["controller", "--certificate-authority=ca.crt"], "--certificate-authority is that of --apiserver-host"],
    [["controller", "--manifests=/nowhere/at/all", ...anyPorts], '"/nowhere/at/all"'],
    [["translate", "/nowhere/at/all"], '"/nowhere/at/all"'],
    [["translate"], "missing required argument 'directory'"],
    [["serve"], "unknown command 'serve'"],
    [["contrller"], "unknown command 'contrller' (did you mean controller?)"],
  ])("%j", async (words, text) => {
    const { code, stdout, stderr } = await run(...words);
    expect(stderr).toMatch(/^fairway: .*\n$/);
    expect(stderr).toContain(text);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });
});

describe("translate", () => {
  test("prints the table and ends with 0 when nothing is wrong", async () => {
    const { code, stdout } = await run("translate", copy.directory, "--allow-loopback-upstreams");
    expect(stdout).toContain("shop.localhost  TLS: Secret demo/shop-tls");
    expect(stdout).toContain("no diagnostics");
    expect(code).toBe(0);
  });

  test("prints the IR as JSON, without keys", async () => {
    const { code, stdout } = await run("translate", "--output=json", copy.directory);
    const { ir, diagnostics } = JSON.parse(stdout) as {
      ir: { certificates: { key: string }[] };
      diagnostics: unknown[];
    };
    expect(ir.certificates.map(({ key }) => key)).toEqual(["[redacted]"]);
    expect(stdout).not.toContain("PRIVATE KEY");
    // Without the flag the demo's endpoints, on loopback, are not taken.
    expect(diagnostics.length).toBeGreaterThan(0);
    expect(code).toBe(1);
  });

  test("prints what is wrong and ends with 1", async () => {
    const bad = await DemoCopy.create();
    try {
      writeFileSync(path.join(bad.directory, "bad.yaml"), "kind: [\n");
      const { code, stdout } = await run("translate", bad.directory, "--allow-loopback-upstreams");
      expect(stdout).toMatch(/^error: .*bad\.yaml/m);
      expect(stdout).toContain("shop.localhost");
      expect(code).toBe(1);
    } finally {
      await bad.close();
    }
  });
});

describe("controller", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("serves until %s, and ends with 0", async (signal) => {
    using started = new Run(
      "controller",
      "--manifests",
      copy.directory,
      "--bind-address=127.0.0.1",
      "--healthz-host=127.0.0.1",
      "--allow-loopback-upstreams",
      ...anyPorts,
    );
    const [, httpPort] = await started.printed(/serving HTTP on port (\d+) and HTTPS/);
    const response = await fetch(`http://127.0.0.1:${httpPort}/`, { headers: { connection: "close" } });
    expect(response.status).toBe(404);
    await response.text();
    started.child.kill(signal);
    const { code, stderr } = await started.exited;
    expect(stderr).toContain(`${signal}: serving for another 0 s`);
    expect(code).toBe(0);
  });
});

describe("demo", () => {
  test("names the port of a backend that is taken", async () => {
    const other = net.createServer().listen(demoBackends["api"], "127.0.0.1");
    // Taken by us, or by another program already, such as a demo: both will do.
    await new Promise<void>((resolve) => {
      other.once("listening", resolve).once("error", () => resolve());
    });
    const { code, stderr } = await run("demo", ...anyPorts);
    other.close();
    expect(stderr).toMatch(
      /^fairway: 127\.0\.0\.1 port 18\d\d\d, for the demo's backend .* is in use by another program/,
    );
    expect(code).toBe(1);
  });

  test("every line that it prints gives what it says", async () => {
    expect(spawnSync("curl", ["--version"]).status, "this test needs curl").toBe(0);
    using started = new Run(
      "controller",
      `--manifests=${copy.directory}`,
      "--bind-address=127.0.0.1",
      "--healthz-host=127.0.0.1",
      "--allow-loopback-upstreams",
      ...anyPorts,
    );
    const [, http, https] = await started.printed(/serving HTTP on port (\d+) and HTTPS on port (\d+)/);
    const ports = { http: Number(http), https: Number(https), admin: 0, webhook: 0 };
    for (const { title, command } of trials(ports, copy.directory)) {
      const { stdout } = await promisify(execFile)("sh", ["-c", command], { cwd: "/" });
      const backend = /"backend": "(.*)"/.exec(stdout)?.[1];
      if (title.startsWith("backend")) expect(title.split(/[ ,:]+/), command).toContain(backend);
      else if (title.startsWith("308")) expect(stdout).toBe("308 https://shop.localhost/\n");
      else if (title.startsWith("404")) expect(stdout).toBe("404\n");
      else expect(Number(stdout), command).toBeLessThan(40);
    }
  });
});
