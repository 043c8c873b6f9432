import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DirectorySource, lossMs, settleMs } from "../../../src/controller/sources/directory.ts";
import { systemClock, type Cancel, type Clock } from "../../../src/util/clock.ts";
import { EventLog, portOf, service } from "./event-log.ts";

let directory = "";
let log = new EventLog();
let source: DirectorySource | null = null;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "fairway-manifests-"));
  log = new EventLog();
});

afterEach(async () => {
  await source?.close();
  source = null;
  rmSync(directory, { recursive: true, force: true });
  expect(process.getActiveResourcesInfo().filter((name) => /FSEvent/i.test(name))).toEqual([]);
});

async function start(clock: Clock = systemClock): Promise<void> {
  source = new DirectorySource({ directory, clock });
  await source.start(log.listener);
}

/** Believes no loss, however slow the machine is that runs the test. */
const patientClock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => (delayMs >= lossMs ? () => {} : systemClock.after(delayMs, callback)),
};

/** Polls and believes losses almost at once; `polls(n)` resolves when it has polled n times more. */
class HastyClock implements Clock {
  #onPoll: () => void = () => {};

  nowMs(): number {
    return systemClock.nowMs();
  }

  every(_intervalMs: number, callback: () => void): Cancel {
    return systemClock.every(5, () => {
      callback();
      this.#onPoll();
    });
  }

  after(delayMs: number, callback: () => void): Cancel {
    return systemClock.after(Math.min(delayMs, settleMs), callback);
  }

  polls(count: number): Promise<void> {
    let left = count;
    return new Promise((resolve) => {
      this.#onPoll = () => {
        left -= 1;
        if (left === 0) resolve();
      };
    });
  }
}

function write(path: string, text: string): void {
  writeFileSync(join(directory, path), text);
}

describe("the start", () => {
  test("emits every object of the tree, then synced", async () => {
    mkdirSync(join(directory, "sub/deeper"), { recursive: true });
    mkdirSync(join(directory, ".git"));
    write("a.yaml", `${service("a1")}---\n${service("a2")}`);
    write("sub/b.yml", service("b"));
    write(
      "sub/deeper/c.json",
      JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "c" } }),
    );
    write(".git/hidden.yaml", service("hidden"));
    write("notes.txt", "not a manifest");
    write("empty.yaml", "# nothing yet\n");
    await start();
    expect(log.summary.toSorted()).toEqual([
      "+Namespace//c",
      "+Service/default/a1",
      "+Service/default/a2",
      "+Service/default/b",
      "synced",
    ]);
    expect(log.summary.at(-1)).toBe("synced");
    expect(log.reasons()).toEqual([]);
  });

  test("fails with a clear error when the directory cannot be read", async () => {
    for (const [path, words] of [
      [join(directory, "missing"), "there is no such directory"],
      [join(directory, "file"), "it is not a directory"],
    ] as const) {
      write("file", "");
      const broken = new DirectorySource({ directory: path, clock: systemClock });
      await expect(broken.start(log.listener)).rejects.toThrow(
        `cannot read manifests from "${path}": ${words}`,
      );
      await broken.close();
    }
  });

  test("reads once and leaves nothing open when it is not to watch", async () => {
    write("a.yaml", service("a"));
    const once = new DirectorySource({ directory, clock: systemClock, watch: false });
    await once.start(log.listener);
    expect(process.getActiveResourcesInfo()).not.toContain("FSEvent");
    expect(log.summary).toEqual(["+Service/default/a", "synced"]);
    await once.close();
  });

  test("reads a file once to which two paths lead", async () => {
    write("b.yaml", service("b"));
    symlinkSync("b.yaml", join(directory, "a.yaml"));
    symlinkSync(".", join(directory, "round-in-circles"));
    await start();
    expect(log.summary).toEqual(["+Service/default/b", "synced"]);
    expect(log.reasons()).toEqual([]);
  });
});

describe("an edit", () => {
  test("reaches the listener; what has not changed is not emitted again", async () => {
    write("a.yaml", `${service("a")}---\n${service("still")}`);
    await start();
    const began = performance.now();
    write("a.yaml", `${service("a", 81)}---\n${service("still")}`);
    await log.until(() => portOf(log.objects.get("Service/default/a")) === 81);
    // Long before the poll; the promise is 40 ms, the rest is for a busy machine.
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(log.summary.slice(3)).toEqual(["+Service/default/a"]);
  });

  test("in a directory made after the start reaches the listener", async () => {
    await start();
    mkdirSync(join(directory, "new"));
    write("new/a.yaml", service("a"));
    await log.until(() => log.has("Service/default/a"));
    write("new/a.yaml", service("a", 81));
    await log.until(() => portOf(log.objects.get("Service/default/a")) === 81);
  });

  test("that breaks the file keeps its last good version, until it is mended", async () => {
    write("a.yaml", service("a"));
    await start();
    write("a.yaml", `${service("a", 81)}  broken: [\n`);
    await log.until(() => log.reasons().length > 0);
    expect(log.reports.get("a.yaml")).toMatchObject([
      {
        severity: "error",
        reason: "InvalidManifest",
        object: { kind: "File", name: "a.yaml" },
        field: "line 9",
      },
    ]);
    expect(portOf(log.objects.get("Service/default/a"))).toBe(80);
    write("a.yaml", service("a", 82));
    await log.until(() => portOf(log.objects.get("Service/default/a")) === 82 && log.reasons().length === 0);
    expect(log.summary.some((each) => each.startsWith("-"))).toBe(false);
  });

  test("that replaces the file by another, as many editors do, loses nothing", async () => {
    write("a.yaml", service("a"));
    await start(patientClock);
    for (let port = 81; port < 90; port += 1) {
      write(".a.yaml.tmp", service("a", port));
      renameSync(join(directory, ".a.yaml.tmp"), join(directory, "a.yaml"));
      await log.until(() => portOf(log.objects.get("Service/default/a")) === port);
    }
    expect(log.summary.some((each) => each.startsWith("-"))).toBe(false);
  });

  test("swaps a mounted ConfigMap as the kubelet does", async () => {
    mkdirSync(join(directory, "..first"));
    write("..first/a.yaml", service("a"));
    symlinkSync("..first", join(directory, "..data"));
    symlinkSync("..data/a.yaml", join(directory, "a.yaml"));
    await start(patientClock);
    expect(log.summary).toEqual(["+Service/default/a", "synced"]);
    mkdirSync(join(directory, "..second"));
    write("..second/a.yaml", service("a", 81));
    symlinkSync("..second", join(directory, "..data_tmp"));
    renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
    rmSync(join(directory, "..first"), { recursive: true });
    await log.until(() => portOf(log.objects.get("Service/default/a")) === 81);
    expect(log.summary).toEqual(["+Service/default/a", "synced", "+Service/default/a"]);
  });
});

describe("a loss", () => {
  test("is believed when the file has been still for a while", async () => {
    write("a.yaml", `${service("a")}---\n${service("b")}`);
    await start();
    const began = performance.now();
    write("a.yaml", service("a", 81));
    await log.until(() => !log.has("Service/default/b"));
    expect(performance.now() - began).toBeGreaterThanOrEqual(lossMs);
    // What changed did not wait for it.
    expect(log.summary.slice(3)).toEqual(["+Service/default/a", "-Service/default/b"]);
  });

  test("is believed at once when the file is replaced by a rename: then it is complete", async () => {
    write("a.yaml", `${service("a")}---\n${service("b")}`);
    await start(patientClock);
    write("a.yaml.new", service("c"));
    renameSync(join(directory, "a.yaml.new"), join(directory, "a.yaml"));
    await log.until(() => log.has("Service/default/c"));
    expect(log.summary.slice(3).toSorted()).toEqual([
      "+Service/default/c",
      "-Service/default/a",
      "-Service/default/b",
    ]);
  });

  test("by replacing the file delays nothing of the same save", async () => {
    write("a.yaml", `${service("a")}---\n${service("b")}`);
    await start(patientClock);
    write(".a.yaml.tmp", `${service("a", 81)}---\n${service("c")}`);
    renameSync(join(directory, ".a.yaml.tmp"), join(directory, "a.yaml"));
    await log.until(() => !log.has("Service/default/b"));
    expect(log.summary.slice(3)).toEqual(["+Service/default/a", "+Service/default/c", "-Service/default/b"]);
  });

  test("by swapping a mounted ConfigMap is believed at once", async () => {
    mkdirSync(join(directory, "..first"));
    write("..first/a.yaml", `${service("a")}---\n${service("b")}`);
    symlinkSync("..first", join(directory, "..data"));
    symlinkSync("..data/a.yaml", join(directory, "a.yaml"));
    await start(patientClock);
    mkdirSync(join(directory, "..second"));
    write("..second/a.yaml", service("a"));
    symlinkSync("..second", join(directory, "..data_tmp"));
    renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
    await log.until(() => !log.has("Service/default/b"));
  });

  test.each([
    ["empty so far", ""],
    ["written in part", service("a", 81)],
  ])("is not believed at once when the new file was made at its place: %s", async (_name, text) => {
    write("a.yaml", `${service("a")}---\n${service("b")}`);
    write("b.yaml", service("witness", 1));
    await start(patientClock);
    renameSync(join(directory, "a.yaml"), join(directory, "a.yaml~"));
    write("a.yaml", text);
    write("b.yaml", service("witness", 2));
    await log.until(() => portOf(log.objects.get("Service/default/witness")) === 2);
    expect(log.has("Service/default/a")).toBe(true);
    expect(log.has("Service/default/b")).toBe(true);
  });

  test("is not believed when the file comes back: truncated, unlinked, half written", async () => {
    const whole = `${service("a")}---\n${service("b")}`;
    write("a.yaml", whole);
    write("b.yaml", service("witness", 1));
    await start(patientClock);
    const steps = ["", whole.slice(0, service("a").length), whole.slice(0, -12)];
    for (const [index, step] of steps.entries()) {
      write("a.yaml", step);
      write("b.yaml", service("witness", index + 2));
      await log.until(() => portOf(log.objects.get("Service/default/witness")) === index + 2);
    }
    unlinkSync(join(directory, "a.yaml"));
    write("b.yaml", service("witness", 9));
    await log.until(() => portOf(log.objects.get("Service/default/witness")) === 9);
    write("a.yaml", `${whole}---\n${service("c")}`);
    await log.until(() => log.has("Service/default/c"));
    expect(log.summary.filter((each) => !each.includes("witness"))).toEqual([
      "+Service/default/a",
      "+Service/default/b",
      "synced",
      "+Service/default/c",
    ]);
  });

  test("of a whole file is believed, and so is that of a directory", async () => {
    mkdirSync(join(directory, "sub"));
    write("sub/a.yaml", service("a"));
    write("b.yaml", service("b"));
    await start();
    rmSync(join(directory, "sub"), { recursive: true });
    unlinkSync(join(directory, "b.yaml"));
    await log.until(() => log.objects.size === 0);
  });

  test("by moving objects to another file is none", async () => {
    write("a.yaml", service("a"));
    await start(patientClock);
    renameSync(join(directory, "a.yaml"), join(directory, "b.yaml"));
    appendFileSync(join(directory, "b.yaml"), `---\n${service("b")}`);
    await log.until(() => log.has("Service/default/b"));
    write("b.yaml", `${service("a", 81)}---\n${service("b")}`);
    await log.until(() => portOf(log.objects.get("Service/default/a")) === 81);
    expect(log.summary.some((each) => each.startsWith("-"))).toBe(false);
    expect(log.reasons()).toEqual([]);
  });
});

test("of one object in two files the first file in path order wins, and the other takes over", async () => {
  write("b.yaml", service("a", 82));
  write("a.yaml", service("a", 81));
  await start(patientClock);
  expect(portOf(log.objects.get("Service/default/a"))).toBe(81);
  expect(log.reports.get("b.yaml")).toMatchObject([
    { reason: "DuplicateObject", field: "line 1", message: expect.stringContaining("in a.yaml, line 1") },
  ]);
  unlinkSync(join(directory, "a.yaml"));
  await log.until(() => portOf(log.objects.get("Service/default/a")) === 82);
  expect(log.summary.some((each) => each.startsWith("-"))).toBe(false);
  await log.until(() => log.reasons().length === 0);
});

test("a directory that vanishes as a whole keeps its objects: a mount may be away for a while", async () => {
  write("a.yaml", service("a"));
  const clock = new HastyClock();
  await start(clock);
  renameSync(directory, `${directory}-away`);
  await log.until(() => log.reasons().some((each) => each.includes("UnreadableDirectory")));
  await clock.polls(20);
  expect(log.has("Service/default/a")).toBe(true);
  renameSync(`${directory}-away`, directory);
  write("b.yaml", service("b"));
  await log.until(() => log.has("Service/default/b") && log.reasons().length === 0);
  expect(log.summary.some((each) => each.startsWith("-"))).toBe(false);
});

test("after close there is no event any more", async () => {
  write("a.yaml", service("a"));
  await start();
  write("a.yaml", service("a", 81));
  await source?.close();
  const count = log.events.length;
  write("a.yaml", service("a", 82));
  const other = new DirectorySource({ directory, clock: systemClock, watch: false });
  await other.start(() => {});
  await other.close();
  expect(log.events.length).toBe(count);
});

test("what events do not tell, such as a change behind a symlink, is found by the poll", async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), "fairway-elsewhere-"));
  try {
    writeFileSync(join(elsewhere, "real.yaml"), service("a"));
    symlinkSync(join(elsewhere, "real.yaml"), join(directory, "a.yaml"));
    await start(new HastyClock());
    writeFileSync(join(elsewhere, "real.yaml"), service("a", 81));
    await log.until(() => portOf(log.objects.get("Service/default/a")) === 81);
    rmSync(directory, { recursive: true });
    await log.until(() => log.reasons().some((each) => each.includes("UnreadableDirectory")));
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});
