// What belongs to other controllers of the same cluster: it leads to no build, and to no word.
import { expect, test } from "vitest";
import { RebuildLoop } from "../../src/controller/rebuild.ts";
import { defaultTranslateOptions } from "../../src/controller/translate/options.ts";
import { features } from "../../src/features/registry.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { FakeSource, ingress, ref, rule, service, slice } from "./fake-source.ts";

function classOf(name: string, controller: string) {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name },
    spec: { controller },
  };
}

function secret(name: string, value: string) {
  return { apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: { "tls.crt": value } };
}

async function started(watchIngressWithoutClass = false) {
  const source = new FakeSource();
  const clock = new ManualClock();
  const updates: number[] = [];
  const loop = new RebuildLoop({
    sources: [source],
    translate: { ...defaultTranslateOptions, watchIngressWithoutClass, parsers: features },
    publisher: { publishTable: () => undefined, publishEndpoints: () => undefined },
    clock,
    onUpdate: (state) => updates.push(state.tables),
  });
  const start = loop.start();
  source.upsert(classOf("nginx", "k8s.io/ingress-nginx"));
  source.upsert(ingress("ours", { rules: [rule("ours.example", { "/": ["ours", 80] })] }));
  source.upsert(service("ours"));
  source.synced();
  await start;
  clock.advanceMs(1_000);
  return {
    source,
    /** Whether what was done led to a build or another update. */
    hasEffect: (): boolean => {
      clock.advanceMs(1_000);
      return updates.splice(0).length > 0;
    },
  };
}

const foreign = (host: string) =>
  ingress("foreign", {
    ingressClassName: "other",
    rules: [rule(host, { "/": ["theirs", 80] })],
    tls: [{ hosts: [host], secretName: "theirs" }],
  });

test("objects of another controller lead to nothing, whatever becomes of them", async () => {
  const { source, hasEffect } = await started();
  hasEffect();
  source.upsert(classOf("other", "example.com/other"));
  source.upsert(foreign("a.example"));
  source.upsert(service("theirs"));
  source.upsert(slice("theirs-1", "theirs", ["10.0.0.9"]));
  source.upsert(secret("theirs", "garbage"));
  source.upsert(foreign("b.example"));
  source.upsert(service("theirs", [{ port: 81 }]));
  source.upsert(secret("theirs", "more garbage"));
  source.delete(ref("Secret", "theirs"));
  source.delete(ref("Service", "theirs"));
  source.delete(ref("Ingress", "foreign"));
  source.delete(ref("IngressClass", "other"));
  expect(hasEffect()).toBe(false);
});

test("what becomes ours, or stops to be, counts", async () => {
  const { source, hasEffect } = await started();
  source.upsert(foreign("a.example"));
  hasEffect();
  source.upsert(classOf("other", "k8s.io/ingress-nginx"));
  expect(hasEffect()).toBe(true);
  source.upsert(secret("theirs", "garbage"));
  expect(hasEffect()).toBe(true);
  source.upsert(classOf("other", "example.com/other"));
  expect(hasEffect()).toBe(true);
  source.upsert(secret("theirs", "other garbage"));
  expect(hasEffect()).toBe(false);
});

test("without the right to read classes the field does not count", async () => {
  const { source, hasEffect } = await started(true);
  source.upsert(foreign("a.example"));
  hasEffect();
  source.classes(false);
  expect(hasEffect()).toBe(true);
  source.classes(false);
  expect(hasEffect()).toBe(false);
  source.upsert(foreign("b.example"));
  expect(hasEffect()).toBe(true);
  source.classes(true);
  expect(hasEffect()).toBe(true);
  source.upsert(foreign("c.example"));
  expect(hasEffect()).toBe(false);
});
