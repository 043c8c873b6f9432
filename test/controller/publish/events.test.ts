import { expect, test } from "vitest";
import { EventWriter, repeatMs, waitingMax } from "../../../src/controller/publish/events.ts";
import type { Diagnostic } from "../../../src/ir/diagnostic.ts";
import type { ApiRequest } from "../../../src/kube-api/client.ts";
import { ApiError, ApiUnreachable } from "../../../src/kube-api/errors.ts";
import { RequestLimit } from "../../../src/kube-api/request-limit.ts";
import { ManualClock } from "../../../src/util/clock.ts";
import { settled } from "./settled.ts";

interface Event {
  readonly metadata: { readonly name: string };
  readonly involvedObject: { readonly name: string };
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  count: number;
}

/** The Events of a namespace, as the API server keeps them. */
class Server {
  readonly events = new Map<string, Event>();
  requests = 0;
  /** Throws to refuse. */
  refuse: () => void = () => {};

  async call({ method, path, body }: ApiRequest): Promise<unknown> {
    await Promise.resolve();
    this.requests += 1;
    this.refuse();
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (method === "PATCH") {
      const found = this.events.get(name);
      if (found === undefined) throw new ApiError(404, "NotFound", "there is none");
      found.count = (body as Event).count;
      return found;
    }
    const event = body as Event;
    if (this.events.has(event.metadata.name)) throw new ApiError(409, "AlreadyExists", "there is one");
    this.events.set(event.metadata.name, event);
    return event;
  }
}

class Replica {
  readonly clock: ManualClock;
  readonly writer: EventWriter;
  isLeader = true;
  dropped = 0;

  constructor(server: Server, clock: ManualClock, perSecond = 1_000) {
    this.clock = clock;
    this.writer = new EventWriter({
      client: server,
      clock,
      now: () => new Date(clock.nowMs()),
      random: () => 1,
      limit: new RequestLimit(perSecond, perSecond, clock),
      isLeader: () => this.isLeader,
      uidOf: ({ name }) => (name === "unknown" ? "" : `uid-of-${name}`),
      identity: "pod-1",
      listener: {
        written: () => undefined,
        failed: () => undefined,
        dropped: (count) => (this.dropped += count),
      },
    });
    this.writer.start();
  }

  async run(ms: number, stepMs = 1_000): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      await settled();
      this.clock.advanceMs(stepMs);
    }
    await settled();
  }
}

function about(name: string, changes: Partial<Diagnostic> = {}): Diagnostic {
  return {
    severity: "warning",
    reason: "ServiceNotFound",
    message: "there is no Service; its requests are answered with 503",
    object: { kind: "Ingress", namespace: "shop", name },
    field: "spec.rules[0]",
    ...changes,
  };
}

test("a diagnostic becomes one Event that says object, reason, field and text", async () => {
  const server = new Server();
  const replica = new Replica(server, new ManualClock());
  replica.writer.update([about("web")]);
  await replica.run(1_000);
  replica.writer.update([about("web"), about("web", { severity: "info", field: "", reason: "Other" })]);
  await replica.run(1_000);
  expect(server.requests).toBe(2);
  const [first, second] = server.events.values();
  expect(first).toMatchObject({
    involvedObject: {
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      namespace: "shop",
      name: "web",
      uid: "uid-of-web",
      fieldPath: "spec.rules[0]",
    },
    type: "Warning",
    reason: "ServiceNotFound",
    message: "spec.rules[0]: there is no Service; its requests are answered with 503",
    source: { component: "fairway" },
    count: 1,
  });
  expect(first!.metadata.name).toMatch(/^web\.[0-9a-f]{16}$/);
  expect(second!.type).toBe("Normal");
});

test("a diagnostic that stays, or comes and goes, is told hourly", async () => {
  const server = new Server();
  const replica = new Replica(server, new ManualClock());
  replica.writer.update([about("web")]);
  for (let minute = 0; minute < 59; minute += 1) {
    replica.writer.update(minute % 2 === 0 ? [] : [about("web")]);
    await replica.run(60_000, 10_000);
  }
  expect(server.requests).toBe(1);
  replica.writer.update([about("web")]);
  await replica.run(180_000, 10_000);
  expect(server.requests).toBe(2);
  expect([...server.events.values()].map(({ count }) => count)).toEqual([2]);
  // The API server has forgotten it meanwhile: it is made anew.
  server.events.clear();
  await replica.run(repeatMs + 60_000, 10_000);
  expect(server.events.size).toBe(1);
});

test("restarts and other replicas add nothing", async () => {
  const server = new Server();
  const clock = new ManualClock();
  for (let start = 0; start < 5; start += 1) {
    const replica = new Replica(server, clock);
    replica.writer.update([about("web"), about("shop")]);
    await replica.run(5_000);
    await replica.writer.stop();
  }
  expect(server.events.size).toBe(2);
  expect([...server.events.values()].map(({ count }) => count)).toEqual([1, 1]);
});

test("only the leader writes, and begins when it becomes one", async () => {
  const server = new Server();
  const replica = new Replica(server, new ManualClock());
  replica.isLeader = false;
  replica.writer.update([about("web")]);
  await replica.run(5_000);
  expect(server.requests).toBe(0);
  replica.isLeader = true;
  replica.writer.look();
  await replica.run(1_000);
  expect(server.events.size).toBe(1);
});

test("nothing is written about objects that are not known or lie in no namespace, nor about ourselves", async () => {
  const server = new Server();
  const replica = new Replica(server, new ManualClock());
  replica.writer.update([
    about("unknown"),
    about("nginx", { object: { kind: "IngressClass", namespace: "", name: "nginx" } }),
    about("x", { object: { kind: "File", namespace: "a", name: "x" } }),
  ]);
  await replica.run(1_000);
  expect(server.requests).toBe(0);
});

test("many are written at the rate that is allowed, and none is lost", async () => {
  const server = new Server();
  const replica = new Replica(server, new ManualClock(), 10);
  const count = waitingMax + 200;
  replica.writer.update(Array.from({ length: count }, (_, index) => about(`web-${index}`)));
  expect(replica.dropped).toBe(200);
  await replica.run(10_000);
  expect(server.requests).toBeLessThanOrEqual(111);
  expect(server.requests).toBeGreaterThan(90);
  await replica.run(120_000);
  expect(server.events.size).toBe(count);
});

test("an API server that is away is asked rarely, and one that refuses is asked again later", async () => {
  const server = new Server();
  const replica = new Replica(server, new ManualClock());
  server.refuse = () => {
    throw new ApiUnreachable("connection refused");
  };
  replica.writer.update([about("web"), about("shop")]);
  await replica.run(60_000);
  expect(server.requests).toBeLessThan(12);
  server.refuse = () => {
    throw new ApiError(403, "Forbidden", "the namespace is being terminated");
  };
  await replica.run(60_000);
  const before = server.requests;
  await replica.run(240_000);
  expect(server.requests - before).toBeLessThanOrEqual(2);
  server.refuse = () => {};
  await replica.run(400_000);
  expect(server.events.size).toBe(2);
});

test("names and texts that are too long are cut", async () => {
  const server = new Server();
  const replica = new Replica(server, new ManualClock());
  const name = `${"a".repeat(229)}.${"b".repeat(20)}`;
  replica.writer.update([about(name, { message: "x".repeat(2_000) })]);
  await replica.run(1_000);
  const [event] = server.events.values();
  expect(event!.metadata.name).toMatch(/^a{229}\.[0-9a-f]{16}$/);
  expect(event!.message).toHaveLength(1_024);
});
