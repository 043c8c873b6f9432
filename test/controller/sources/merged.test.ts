import { expect, test } from "vitest";
import { MergedSource } from "../../../src/controller/sources/merged.ts";
import { FakeSource, ref, service } from "../fake-source.ts";
import { EventLog, portOf } from "./event-log.ts";

test("is synced when all are, at once when there is none", async () => {
  const sources = [new FakeSource(), new FakeSource()];
  const log = new EventLog();
  await new MergedSource(sources).start(log.listener);
  sources[1]!.synced();
  expect(log.summary).toEqual([]);
  sources[0]!.synced();
  expect(log.summary).toEqual(["synced"]);
  const none = new EventLog();
  await new MergedSource([]).start(none.listener);
  expect(none.summary).toEqual(["synced"]);
});

test("of an object in two sources the first counts, and the other takes over", async () => {
  const [low, high] = [new FakeSource(), new FakeSource()];
  const log = new EventLog();
  const merged = new MergedSource([low, high]);
  await merged.start(log.listener);
  const port = (): number | undefined => portOf(log.objects.get("Service/default/a"));
  high.upsert(service("a", [{ port: 82 }]));
  expect(port()).toBe(82);
  low.upsert(service("a", [{ port: 81 }]));
  expect(port()).toBe(81);
  expect([...log.reports.values()].flat()).toMatchObject([
    { reason: "DuplicateObject", object: ref("Service", "a") },
  ]);
  high.upsert(service("a", [{ port: 83 }]));
  expect(port()).toBe(81);
  low.delete(ref("Service", "a"));
  expect(port()).toBe(83);
  expect([...log.reports.values()].flat()).toEqual([]);
  high.delete(ref("Service", "a"));
  high.delete(ref("Service", "a"));
  expect(log.objects.size).toBe(0);
  expect(log.summary.filter((each) => each.startsWith("-"))).toEqual(["-Service/default/a"]);
  await merged.close();
  high.upsert(service("a"));
  expect(log.objects.size).toBe(0);
});

test("what two sources report about a file of the same name stays apart", async () => {
  const sources = [new FakeSource(), new FakeSource()];
  const log = new EventLog();
  await new MergedSource(sources).start(log.listener);
  const object = { kind: "File", namespace: "", name: "a.yaml" };
  const about = { severity: "error", reason: "InvalidManifest", message: "m", object, field: "" } as const;
  for (const source of sources) source.report("a.yaml", [about]);
  expect([...log.reports.values()].flat()).toHaveLength(2);
  sources[0]!.report("a.yaml", []);
  expect([...log.reports.values()].flat()).toHaveLength(1);
});
