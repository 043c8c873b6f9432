// What a reflector makes of an API server that answers as it should, and as it should not.
import { EventEmitter, once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Failure } from "../../../../src/controller/sources/kubernetes/failure.ts";
import { Reflector } from "../../../../src/controller/sources/kubernetes/reflector.ts";
import { resource } from "../../../../src/controller/sources/kubernetes/resource.ts";
import { ApiClient } from "../../../../src/kube-api/client.ts";
import { ManualClock } from "../../../../src/util/clock.ts";
import { answer, FakeApi, statusBody, type Call } from "../../../kube-api/fake-api.ts";

let api: FakeApi;
let clock: ManualClock;
let watcher: Watcher;

beforeEach(async () => {
  api = await FakeApi.start();
  clock = new ManualClock();
});

afterEach(async () => {
  await watcher.reflector.close();
  await api.close();
});

/** A reflector, and what it has told, as words: `+a@1` for an upsert, `-a` for a removal. */
class Watcher {
  readonly told: string[] = [];
  readonly counted: string[] = [];
  readonly #events = new EventEmitter();
  readonly reflector: Reflector;

  constructor(kind: "Service" | "Secret" = "Service") {
    const tell = (word: string): void => {
      this.told.push(word);
      this.#events.emit("told");
    };
    const count = (word: string): void => {
      this.counted.push(word);
      this.#events.emit("told");
    };
    this.reflector = new Reflector({
      resource: resource(kind),
      client: new ApiClient({ access: api.access, clock, limit: null, userAgent: "test" }),
      clock,
      random: () => 1,
      listener: {
        upsert: ({ key, version }) => tell(`+${key.slice(2)}@${version}`),
        remove: (key) => tell(`-${key.slice(2)}`),
        settled: () => tell("settled"),
        problem: (failure: Failure | null) => tell(failure === null ? "fine" : failure.reason),
        recovered: () => count("recovered"),
        contact: () => undefined,
        watchRestarted: () => count("restarted"),
        failed: (reason) => count(reason),
      },
    });
    this.reflector.start();
  }

  /** Everything told, once it ends in `word`; then forgotten. */
  async until(word: string): Promise<string> {
    while (this.told.at(-1) !== word) await once(this.#events, "told");
    return this.told.splice(0).join(" ");
  }

  /** Until something was counted so often. */
  async counts(word: string, times = 1): Promise<void> {
    while (this.counted.filter((each) => each === word).length < times) await once(this.#events, "told");
  }
}

function service(name: string, version: number) {
  return { metadata: { namespace: "n", name, resourceVersion: String(version) } };
}

function list(version: number, items: readonly unknown[], next = "") {
  return { metadata: { resourceVersion: String(version), continue: next }, items };
}

function event(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

/** Answers the list and takes the watch that follows. */
async function listed(version: number, ...items: readonly unknown[]): Promise<Call> {
  const call = await api.next();
  expect(call.query.get("watch")).toBeNull();
  answer(call, 200, list(version, items));
  return await watching();
}

async function watching(): Promise<Call> {
  const call = await api.next();
  expect(call.query.get("watch")).toBe("1");
  return call;
}

describe("a list", () => {
  test("is got in pages, then watched from where it was made", async () => {
    watcher = new Watcher();
    const first = await api.next();
    expect([first.path, first.query.get("limit")]).toEqual(["/api/v1/services", "500"]);
    answer(first, 200, list(9, [service("a", 1)], "more"));
    const second = await api.next();
    expect(second.query.get("continue")).toBe("more");
    answer(second, 200, list(9, [service("b", 2)]));
    expect(await watcher.until("settled")).toBe("+a@1 +b@2 settled");
    const watch = await watching();
    expect(watch.query.get("resourceVersion")).toBe("9");
    expect(watch.query.get("allowWatchBookmarks")).toBe("true");
    expect(Number(watch.query.get("timeoutSeconds"))).toBe(600);
  });

  test("whose pages expire is got in one", async () => {
    watcher = new Watcher();
    answer(await api.next(), 200, list(9, [service("a", 1)], "more"));
    answer(await api.next(), 410, statusBody(410, "Expired", "too old"));
    await watcher.counts("Expired");
    clock.advanceMs(200);
    const again = await api.next();
    expect([again.query.get("limit"), again.query.get("continue")]).toEqual([null, null]);
    answer(again, 200, list(12, [service("a", 1), service("b", 10)]));
    expect(await watcher.until("settled")).toBe("+a@1 +b@10 settled");
  });

  test("that breaks off takes nothing away", async () => {
    watcher = new Watcher();
    const watch = await listed(9, service("a", 1), service("b", 2));
    await watcher.until("settled");
    watch.response.write(event("ERROR", statusBody(410, "Expired", "too old")));
    await watcher.counts("Expired");
    clock.advanceMs(200);
    answer(await api.next(), 200, list(20, [service("b", 2)], "more"));
    // A kept connection that breaks is tried once more at once, on a new one.
    (await api.next()).response.destroy();
    (await api.next()).response.destroy();
    await watcher.counts("ApiUnreachable");
    // The second failure in a row is told, and nothing else.
    expect(watcher.told).toEqual(["ApiUnreachable"]);
    clock.advanceMs(400);
    answer(await api.next(), 200, list(21, [service("b", 2)]));
    expect(await watcher.until("fine")).toBe("ApiUnreachable -a fine");
  });
});

describe("a watch", () => {
  test("tells what is new, changed and gone, and each version once", async () => {
    watcher = new Watcher();
    const { response } = await listed(9, service("a", 1));
    await watcher.until("settled");
    response.write(event("ADDED", service("a", 1)));
    response.write(event("ADDED", service("b", 10)));
    response.write(event("MODIFIED", service("b", 10)));
    response.write(event("MODIFIED", service("a", 11)));
    response.write(event("DELETED", service("b", 12)));
    response.write(event("DELETED", service("b", 12)));
    response.write(event("ADDED", service("c", 13)));
    expect(await watcher.until("+c@13")).toBe("+b@10 +a@11 -b +c@13");
  });

  test("that ends goes on from the last event or bookmark, without a list", async () => {
    watcher = new Watcher();
    const first = await listed(9);
    await watcher.until("settled");
    first.response.write(event("ADDED", service("a", 10)));
    await watcher.until("+a@10");
    first.response.end(event("BOOKMARK", { metadata: { resourceVersion: "50" } }));
    const second = await watching();
    expect(second.query.get("resourceVersion")).toBe("50");
    second.response.end(event("ADDED", service("b", 51)));
    const third = await watching();
    expect(third.query.get("resourceVersion")).toBe("51");
    expect(watcher.told).toEqual(["+b@51"]);
    third.response.write(event("BOOKMARK", { metadata: { resourceVersion: "60" } }));
    await watcher.counts("restarted", 2);
    expect(watcher.counted).toEqual(["restarted", "restarted"]);
  });

  test("with a line that is no JSON lists again, and tells", async () => {
    watcher = new Watcher("Secret");
    const { response } = await listed(9, service("a", 1));
    await watcher.until("settled");
    response.write('{"type":"MODIFIED","object":{"data":"s3cret\n');
    expect(await watcher.until("UnreadableAnswer")).toBe("UnreadableAnswer");
    clock.advanceMs(200);
    await listed(12, service("a", 11));
    expect(await watcher.until("fine")).toBe("+a@11 fine");
  });

  test.each([
    ["an event of no known type", event("RENAMED", service("a", 2))],
    ["an object without a name", event("ADDED", { metadata: { resourceVersion: "3" } })],
    ["no object", event("ADDED", null)],
    ["a list for an event", "[]\n"],
  ])("with %s lists again", async (_, line) => {
    watcher = new Watcher();
    const { response } = await listed(9);
    await watcher.until("settled");
    response.write(line);
    await watcher.counts("UnreadableAnswer");
    clock.advanceMs(200);
    await listed(12);
    expect(await watcher.until("fine")).toBe("UnreadableAnswer fine");
  });

  test("cut in the middle of a line goes on from the line before", async () => {
    watcher = new Watcher();
    const { response } = await listed(9);
    await watcher.until("settled");
    response.write(`${event("ADDED", service("a", 10))}{"type":"ADD`);
    await watcher.until("+a@10");
    response.destroy();
    await watcher.counts("ApiUnreachable");
    clock.advanceMs(200);
    const again = await watching();
    expect(again.query.get("resourceVersion")).toBe("10");
    again.response.write(event("ADDED", service("b", 11)));
    expect(await watcher.until("+b@11")).toBe("+b@11");
  });

  test("with an ERROR event that is not about its position goes on from there", async () => {
    watcher = new Watcher();
    const { response } = await listed(9);
    await watcher.until("settled");
    response.write(event("ERROR", statusBody(500, "InternalError", "etcd is tired")));
    await watcher.counts("ApiRefused");
    clock.advanceMs(200);
    expect((await watching()).query.get("resourceVersion")).toBe("9");
  });

  test("whose start is answered with 410 lists again, and tells only differences", async () => {
    watcher = new Watcher();
    answer(await listed(9, service("a", 1), service("b", 2)), 410, statusBody(410, "Expired", "too old"));
    await watcher.counts("Expired");
    clock.advanceMs(200);
    await listed(20, service("b", 2), service("c", 15));
    await watcher.until("-a");
    expect(watcher.told).toEqual([]);
  });

  test("that ends as soon as it begins waits longer each time", async () => {
    watcher = new Watcher();
    (await listed(9)).response.end();
    for (const [times, waitMs] of [
      [1, 200],
      [2, 400],
      [3, 800],
    ] as const) {
      await watcher.counts("ApiUnreachable", times);
      clock.advanceMs(waitMs - 1);
      expect(api.waiting).toBe(0);
      clock.advanceMs(1);
      (await watching()).response.end();
    }
  });
});

describe("a refusal", () => {
  test("with Retry-After is not repeated before that", async () => {
    watcher = new Watcher();
    answer(await api.next(), 429, statusBody(429, "TooManyRequests", "later"), { "retry-after": "5" });
    await watcher.counts("ApiRefused");
    clock.advanceMs(4_999);
    expect(api.waiting).toBe(0);
    clock.advanceMs(1);
    await listed(1);
    expect(await watcher.until("settled")).toBe("settled");
  });

  test("for want of rights settles what is not essential, and ends when they are given", async () => {
    watcher = new Watcher("Secret");
    answer(await api.next(), 403, statusBody(403, "Forbidden", "no"));
    expect(await watcher.until("settled")).toBe("Forbidden settled");
    clock.advanceMs(200);
    answer(await api.next(), 403, statusBody(403, "Forbidden", "no"));
    expect(await watcher.until("Forbidden")).toBe("Forbidden");
    clock.advanceMs(400);
    await listed(5, service("a", 1));
    expect(await watcher.until("fine")).toBe("+a@1 fine");
  });

  test("by a server that was away and has not read yet who may do what is repeated soon", async () => {
    watcher = new Watcher();
    (await listed(9)).response.end();
    for (const [times, waitMs] of [
      [1, 200],
      [2, 400],
      [3, 800],
    ] as const) {
      await watcher.counts("ApiUnreachable", times);
      clock.advanceMs(waitMs);
      if (times < 3) (await watching()).response.end();
    }
    answer(await watching(), 403, statusBody(403, "Forbidden", "not yet"));
    await watcher.counts("Forbidden");
    clock.advanceMs(200);
    (await watching()).response.end(event("BOOKMARK", { metadata: { resourceVersion: "10" } }));
  });

  test("for want of rights leaves an essential kind unsettled", async () => {
    watcher = new Watcher();
    answer(await api.next(), 403, statusBody(403, "Forbidden", "no"));
    expect(await watcher.until("Forbidden")).toBe("Forbidden");
    expect(watcher.reflector.isSettled).toBe(false);
  });

  test("of rights that there were keeps what is known", async () => {
    watcher = new Watcher("Secret");
    const watch = await listed(9, service("a", 1));
    await watcher.until("settled");
    watch.response.end(event("BOOKMARK", { metadata: { resourceVersion: "10" } }));
    answer(await watching(), 403, statusBody(403, "Forbidden", "no"));
    expect(await watcher.until("Forbidden")).toBe("Forbidden");
    expect(watcher.reflector.has("n/a")).toBe(true);
  });
});

describe("waiting", () => {
  test("doubles up to 30 s", async () => {
    watcher = new Watcher();
    for (const [index, waitMs] of [
      200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
    ].entries()) {
      answer(await api.next(), 500, statusBody(500, "InternalError", "no"));
      await watcher.counts("ApiRefused", index + 1);
      clock.advanceMs(waitMs - 1);
      expect(api.waiting).toBe(0);
      clock.advanceMs(1);
    }
    await listed(1);
    expect((await watcher.until("settled")).endsWith("fine settled")).toBe(true);
  });

  test("for the network ends when somebody else gets through; for a refusal it does not", async () => {
    watcher = new Watcher();
    (await api.next()).response.destroy();
    await watcher.counts("ApiUnreachable");
    watcher.reflector.wake();
    answer(await api.next(), 403, statusBody(403, "Forbidden", "no"));
    await watcher.until("Forbidden");
    watcher.reflector.wake();
    expect(api.waiting).toBe(0);
    clock.advanceMs(400);
    await listed(1);
    await watcher.counts("recovered");
  });
});

describe("a single object", () => {
  test("is asked for by name and told although its version is known", async () => {
    watcher = new Watcher("Secret");
    const watch = await listed(9, service("a", 1));
    await watcher.until("settled");
    watcher.reflector.reread("n/unknown");
    watcher.reflector.reread("n/a");
    clock.advanceMs(5);
    const call = await api.next();
    expect([call.path, call.query.get("fieldSelector")]).toEqual([
      "/api/v1/namespaces/n/secrets",
      "metadata.name=a",
    ]);
    answer(call, 200, list(9, [service("a", 1)]));
    expect(await watcher.until("+a@1")).toBe("+a@1");
    watch.response.write(event("ADDED", service("b", 10)));
    await watcher.until("+b@10");
  });

  test("that has ended or changed meanwhile is not told in its old version", async () => {
    watcher = new Watcher("Secret");
    const watch = await listed(9, service("a", 1), service("b", 2));
    await watcher.until("settled");
    watcher.reflector.reread("n/a");
    watcher.reflector.reread("n/b");
    clock.advanceMs(5);
    const calls = [await api.next(), await api.next()];
    watch.response.write(event("MODIFIED", service("a", 10)) + event("DELETED", service("b", 11)));
    await watcher.until("-b");
    for (const call of calls) {
      const isA = call.query.get("fieldSelector") === "metadata.name=a";
      answer(call, 200, list(9, [isA ? service("a", 9) : service("b", 2)]));
    }
    watch.response.write(event("ADDED", service("c", 12)));
    expect(await watcher.until("+c@12")).toBe("+c@12");
  });

  test("of many means a list of all", async () => {
    watcher = new Watcher("Secret");
    const names = Array.from({ length: 21 }, (_, index) => `s${index}`);
    await listed(9, ...names.map((name) => service(name, 1)));
    await watcher.until("settled");
    for (const name of names) watcher.reflector.reread(`n/${name}`);
    clock.advanceMs(5);
    await listed(9, ...names.map((name) => service(name, 1)));
    expect((await watcher.until("+s20@1")).split(" ")).toHaveLength(21);
    expect(watcher.counted.filter((each) => each !== "restarted")).toEqual([]);
  });
});
