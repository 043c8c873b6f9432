import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildGapMaxMs, buildGapMinMs, RebuildLoop, type Publisher } from "../../src/controller/rebuild.ts";
import { findingDiagnostic } from "../../src/controller/finding.ts";
import { decodeObject } from "../../src/controller/decode/decode.ts";
import { defaultTranslateOptions } from "../../src/controller/translate/options.ts";
import { sortDiagnostics, translate } from "../../src/controller/translate/translate.ts";
import { features } from "../../src/features/registry.ts";
import type { CertificateIr, EndpointsIr, RoutingIr } from "../../src/ir/routing.ts";
import { TableParts, type TableDelta } from "../../src/ir/table-parts.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { FakeSource, ingress, ref, rule, service, slice } from "./fake-source.ts";
import { testPair } from "./pairs.ts";
import { expectWellFormed } from "./support.ts";

const options = { ...defaultTranslateOptions, offline: true, parsers: features };

/** Keeps what a proxy would serve. */
class RecordingPublisher implements Publisher {
  table: RoutingIr | null = null;
  readonly calls: string[] = [];
  /** What each table brought. */
  readonly deltas: TableDelta[] = [];
  failWith: Error | null = null;
  readonly #parts = new TableParts();

  publishTable(delta: TableDelta): void {
    if (this.failWith !== null) throw this.failWith;
    this.#parts.apply(delta);
    this.table = this.#parts.toIr();
    this.deltas.push(delta);
    this.calls.push("table");
  }

  publishEndpoints(changed: readonly EndpointsIr[]): void {
    if (this.failWith !== null) throw this.failWith;
    if (this.table === null) throw new Error("endpoints before the first table");
    this.#parts.setEndpoints(changed);
    this.table = this.#parts.toIr();
    this.calls.push(`endpoints of ${changed.map(({ upstream }) => upstream).join(", ")}`);
  }
}

function setUp(translateOptions: typeof options = options): {
  clock: ManualClock;
  source: FakeSource;
  publisher: RecordingPublisher;
  loop: RebuildLoop;
  failures: unknown[];
} {
  const clock = new ManualClock();
  const source = new FakeSource();
  const publisher = new RecordingPublisher();
  const failures: unknown[] = [];
  const onFailure = (cause: unknown): number => failures.push(cause);
  const loop = new RebuildLoop({
    sources: [source],
    translate: translateOptions,
    publisher,
    clock,
    onFailure,
  });
  return { clock, source, publisher, loop, failures };
}

async function started(...objects: readonly unknown[]): Promise<ReturnType<typeof setUp>> {
  const parts = setUp();
  const start = parts.loop.start();
  for (const object of objects) parts.source.upsert(object);
  parts.source.synced();
  await start;
  return parts;
}

const web = [
  ingress("web", { rules: [rule("a.example", { "/": ["web", 80] })] }),
  service("web"),
  slice("web-1", "web", ["10.0.0.1"]),
];

describe("publication", () => {
  test("waits until every source has synced", async () => {
    const clock = new ManualClock();
    const sources = [new FakeSource(), new FakeSource()];
    const publisher = new RecordingPublisher();
    const loop = new RebuildLoop({ sources, translate: options, publisher, clock });
    const start = loop.start();
    for (const object of web) sources[0]!.upsert(object);
    sources[0]!.synced();
    clock.advanceMs(10_000);
    expect(publisher.calls).toEqual([]);
    expect(loop.state.isReady).toBe(false);
    sources[1]!.synced();
    await start;
    expect(publisher.calls).toEqual(["table"]);
    expect(loop.state).toMatchObject({ isReady: true, tables: 1, objects: 3 });
    await loop.close();
    expect(sources.every((source) => source.isClosed)).toBe(true);
  });

  test("follows an event at once, and another one after the gap", async () => {
    const { clock, source, publisher, loop } = await started(...web);
    clock.advanceMs(buildGapMinMs);
    source.upsert(ingress("web", { rules: [rule("b.example", { "/": ["web", 80] })] }));
    expect(publisher.calls).toEqual(["table"]);
    clock.advanceMs(0);
    expect(publisher.calls).toEqual(["table", "table"]);
    for (let elapsed = 0; elapsed < 2 * buildGapMinMs; elapsed += 1) {
      source.upsert(ingress("web", { rules: [rule(`c${elapsed}.example`, { "/": ["web", 80] })] }));
      clock.advanceMs(1);
    }
    expect(loop.state.tables).toBe(4);
  });

  test("brings what an event touched, and nothing else", async () => {
    const { clock, source, publisher } = await started(
      ...web,
      ingress("other", { rules: [rule("b.example", { "/": ["other", 80] })] }),
      service("other"),
    );
    source.upsert(ingress("web", { rules: [rule("a.example", { "/": ["web", 80], "/x": ["web", 80] })] }));
    clock.advanceMs(buildGapMinMs);
    const none = { changed: [], removed: [] };
    expect(publisher.deltas.at(-1)).toMatchObject({
      virtualHosts: { changed: [{ host: "a.example" }], removed: [] },
      upstreams: none,
      endpoints: none,
      certificates: none,
    });
    source.delete(ref("Ingress", "other"));
    clock.advanceMs(buildGapMinMs);
    expect(publisher.deltas.at(-1)).toMatchObject({
      virtualHosts: { changed: [], removed: ["b.example"] },
      upstreams: { changed: [], removed: ["default/other/80"] },
      endpoints: { changed: [], removed: ["default/other/80"] },
    });
  });

  test("brings sessions to a canary when an Ingress of another host gives them to its primary", async () => {
    const canary = { "nginx.ingress.kubernetes.io/canary": "true" };
    const { clock, source, publisher } = await started(
      ...web,
      ingress("next", { rules: [rule("a.example", { "/": ["next", 80] })] }, canary),
      service("next"),
    );
    const affinity = { "nginx.ingress.kubernetes.io/affinity": "cookie" };
    source.upsert(ingress("other", { rules: [rule("b.example", { "/": ["web", 80] })] }, affinity));
    clock.advanceMs(buildGapMinMs);
    const [next, primary] = publisher.table?.upstreams ?? [];
    expect(next).toMatchObject({ id: "default/next/80", features: primary?.features });
    expect(next?.features).toHaveLength(1);
  });

  test("of endpoints compiles no route again", async () => {
    const { clock, source, publisher } = await started(...web);
    source.upsert(slice("web-1", "web", ["10.0.0.1", "10.0.0.2"]));
    source.upsert(slice("web-2", "web", ["10.0.0.3"]));
    clock.advanceMs(buildGapMinMs);
    source.delete(ref("EndpointSlice", "web-1"));
    clock.advanceMs(buildGapMinMs);
    expect(publisher.calls).toEqual(["table", "endpoints of default/web/80", "endpoints of default/web/80"]);
    expect(publisher.table?.endpoints[0]?.addresses.map((each) => each.address)).toEqual(["10.0.0.3"]);
  });

  test("does not come when nothing has changed, or nothing that matters", async () => {
    const { clock, source, publisher } = await started(...web);
    for (const object of web) source.upsert(object);
    source.upsert({ apiVersion: "v1", kind: "Namespace", metadata: { name: "x" } });
    source.upsert({ apiVersion: "v1", kind: "Secret", metadata: { name: "x" }, stringData: { a: "b" } });
    source.upsert({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" }, data: { a: "b" } });
    source.upsert(service("unused"));
    source.upsert(slice("unused-1", "unused", ["10.9.9.9"]));
    source.upsert(
      ingress("foreign", { ingressClassName: "other", rules: [rule("a.example", { "/x": ["web", 80] })] }),
    );
    source.delete(ref("Service", "nowhere"));
    clock.advanceMs(1_000);
    expect(publisher.calls).toEqual(["table"]);
  });
});

describe("a bug", () => {
  test("in the publisher leaves the last good table, is reported, and is tried again at the next event", async () => {
    const { clock, source, publisher, loop, failures } = await started(...web);
    publisher.failWith = new Error("does not compile");
    source.upsert(slice("web-1", "web", ["10.0.0.2"]));
    clock.advanceMs(buildGapMinMs);
    expect(failures).toEqual([publisher.failWith]);
    expect(loop.state).toMatchObject({ isReady: true, failures: 1, tables: 1 });
    expect(loop.state.ir).toEqual(publisher.table);
    expect(loop.state.diagnostics.map((each) => each.reason)).toContain("BuildFailed");
    publisher.failWith = null;
    source.upsert(service("unused"));
    clock.advanceMs(buildGapMinMs);
    expect(loop.state.diagnostics.map((each) => each.reason)).not.toContain("BuildFailed");
    expect(publisher.table?.endpoints[0]?.addresses[0]?.address).toBe("10.0.0.2");
    expect(loop.state.ir).toEqual(publisher.table);
  });

  test("in a feature leaves the loop alive", async () => {
    const clock = new ManualClock();
    const source = new FakeSource();
    const publisher = new RecordingPublisher();
    const broken = {
      ...features[0]!,
      parse: () => {
        throw new Error("bug");
      },
    };
    const translateOptions = { ...options, parsers: [broken] };
    const loop = new RebuildLoop({ sources: [source], translate: translateOptions, publisher, clock });
    const start = loop.start();
    source.synced();
    await start;
    expect(loop.state).toMatchObject({ isReady: false, failures: 1, ir: null });
    await loop.close();
  });
});

test("a source that cannot be read rejects the start", async () => {
  const source = new FakeSource();
  source.start = () => Promise.reject(new Error("no such directory"));
  const loop = new RebuildLoop({
    sources: [source],
    translate: options,
    publisher: new RecordingPublisher(),
    clock: new ManualClock(),
  });
  await expect(loop.start()).rejects.toThrow("no such directory");
  await loop.close();
});

describe("broken objects", () => {
  test("are not served in an old version that lacks what their update adds to protect them", async () => {
    const { clock, source, publisher, loop } = await started(...web);
    const annotations = { "nginx.ingress.kubernetes.io/whitelist-source-range": "10.0.0.0/99" };
    const paths = { "/": ["web", 80], nowhere: ["web", 80] } as const;
    source.upsert(ingress("web", { rules: [rule("a.example", paths)] }, annotations));
    clock.advanceMs(buildGapMinMs);
    const routes = publisher.table?.virtualHosts.find(({ host }) => host === "a.example")?.routes;
    expect(routes).toMatchObject([{ path: "/", denied: expect.stringContaining("whitelist-source-range") }]);
    expect(loop.state.diagnostics).toContainEqual(
      expect.objectContaining({
        reason: "InvalidPath",
        message: expect.stringMatching(/the path is left out$/),
      }),
    );
    await loop.close();
  });

  test("keep their last good version, and the diagnostic says so until they are mended", async () => {
    const { clock, source, publisher, loop } = await started(...web);
    const before = publisher.table;
    source.upsert(ingress("web", { rules: [rule("a.example:80", { "/": ["web", 80] })] }));
    clock.advanceMs(buildGapMinMs);
    expect(publisher.table).toBe(before);
    expect(loop.state.diagnostics).toMatchObject([
      {
        severity: "error",
        reason: "InvalidHost",
        field: "spec.rules[0].host",
        message: expect.stringContaining("; the object's last good version keeps serving"),
      },
    ]);
    source.upsert(ingress("web", { rules: [rule("b.example", { "/": ["web", 80] })] }));
    clock.advanceMs(buildGapMinMs);
    expect(publisher.table?.virtualHosts.map((host) => host.host)).toEqual(["", "b.example"]);
    expect(loop.state.diagnostics).toEqual([]);
  });

  test("that never were good lose only what is broken", async () => {
    const rules = [
      rule("a.example:80", { "/": ["web", 80] }),
      rule("b.example", { "/": ["web", 80], x: ["web", 80] }),
    ];
    const { publisher, loop } = await started(...web.slice(1), ingress("web", { rules }));
    expect(publisher.table?.virtualHosts.map((host) => host.host)).toEqual(["", "b.example"]);
    expect(loop.state.diagnostics.map((each) => each.reason)).toEqual(["InvalidHost", "InvalidPath"]);
  });

  test("of sources are shown beside the others, and replaced by their origin", async () => {
    const { source, loop } = await started(...web);
    const object = { kind: "File", namespace: "", name: "a.yaml" };
    const about = {
      severity: "error",
      reason: "InvalidManifest",
      message: "m",
      object,
      field: "line 1",
    } as const;
    source.report("a.yaml", [about]);
    expect(loop.state.diagnostics).toEqual([about]);
    source.report("a.yaml", []);
    expect(loop.state.diagnostics).toEqual([]);
  });
});

describe("certificates", () => {
  const tls = {
    tls: [{ hosts: ["a.example"], secretName: "tls" }],
    rules: [rule("a.example", { "/": ["web", 80] })],
  };
  const first = testPair("first");
  const second = testPair("second");
  const secret = (crt: string, key: string): unknown => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "tls" },
    stringData: { "tls.crt": crt, "tls.key": key },
  });
  const served = (publisher: RecordingPublisher): string[] =>
    publisher.table?.certificates.map((each) => each.chain.trim()) ?? [];

  test("of a Secret that breaks keep serving; of one that is gone they do not", async () => {
    const objects = [...web.slice(1), ingress("web", tls), secret(first.crt, first.key)];
    const { clock, source, publisher, loop } = await started(...objects);
    expect(served(publisher)).toEqual([first.crt.trim()]);
    for (const [crt, key] of [
      [first.crt, second.key],
      ["garbage", second.key],
      [second.crt, ""],
    ] as const) {
      source.upsert(secret(crt, key));
      clock.advanceMs(buildGapMinMs);
      expect(served(publisher)).toEqual([first.crt.trim()]);
      expect(loop.state.diagnostics).toMatchObject([
        {
          object: ref("Secret", "tls"),
          message: expect.stringContaining("its last good certificate keeps serving"),
        },
      ]);
    }
    source.upsert(secret(second.crt, second.key));
    clock.advanceMs(buildGapMinMs);
    expect(served(publisher)).toEqual([second.crt.trim()]);
    expect(loop.state.diagnostics).toEqual([]);
    source.delete(ref("Secret", "tls"));
    clock.advanceMs(buildGapMinMs);
    expect(served(publisher)).toEqual([]);
    source.upsert(secret(first.crt, second.key));
    clock.advanceMs(buildGapMinMs);
    expect(served(publisher)).toEqual([]);
    expect(publisher.table?.virtualHosts.find((host) => host.host === "a.example")?.isTls).toBe(true);
  });
});

describe("any history of changes", () => {
  const names = fc.constantFrom("a", "b", "c");
  const port = fc.constantFrom<readonly unknown[]>(["web"], [80], ["8080"]);
  const ports = fc.constantFrom(
    [{ port: 80, targetPort: 8080 }],
    [{ port: 80, name: "web", targetPort: "named" }],
    [
      { port: 81, name: "web" },
      { port: 80, name: "other", targetPort: 9 },
    ],
  );
  const addresses = fc.uniqueArray(fc.constantFrom("10.0.0.1", "10.0.0.2", "127.0.0.1", "10.0.0.300"), {
    maxLength: 3,
  });
  const condition = fc.constantFrom({}, { ready: false }, { ready: false, serving: true, terminating: true });
  const endpointSlice = fc.record({ name: names, of: names, addresses, condition }).map((each) => {
    const object = slice(`s-${each.name}`, each.of, each.addresses);
    const endpoints = each.addresses.map((address) => ({ addresses: [address], conditions: each.condition }));
    return { ...object, endpoints, ports: [{ name: "web", port: 8080 }] };
  });
  const plainEndpoints = fc.record({ name: names, addresses }).map((each) => ({
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name: each.name },
    subsets: [{ addresses: each.addresses.map((ip) => ({ ip })), ports: [{ port: 7070 }] }],
  }));
  const anyService = fc.record({ name: names, ports }).map((each) => service(each.name, each.ports));
  const host = fc.constantFrom("a.example", "a.example:1", "x.a.example", "*.a.example", "b.example", "");
  const tlsItem = fc.record({
    hosts: fc.uniqueArray(fc.constantFrom("a.example", "x.a.example", "*.a.example", "c.example"), {
      maxLength: 2,
    }),
    secretName: fc.constantFrom("t-first", "t-second", "t-none"),
  });
  const annotations = fc.constantFrom<Record<string, string>>(
    {},
    {},
    { "nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "10" },
    { "nginx.ingress.kubernetes.io/load-balance": "ewma" },
    { "nginx.ingress.kubernetes.io/affinity": "cookie" },
    { "nginx.ingress.kubernetes.io/proxy-body-size": "nonsense" },
  );
  const anyIngress = fc
    .record({
      name: fc.constantFrom("a", "b", "c", "d"),
      hosts: fc.array(host, { maxLength: 3 }),
      service: names,
      port,
      tls: fc.array(tlsItem, { maxLength: 2 }),
      hasDefault: fc.boolean(),
      ingressClassName: fc.constantFrom("nginx", "nginx", "other"),
      createdAt: fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
      annotations,
    })
    .map(({ name, hosts, createdAt, ...each }) => {
      const paths = { "/": [each.service, each.port[0] as number | string], "/x": ["a", 80] } as const;
      const object = ingress(
        name,
        {
          rules: hosts.map((one) => rule(one, { ...paths })),
          tls: each.tls,
          ingressClassName: each.ingressClassName,
          ...(each.hasDefault
            ? { defaultBackend: { service: { name: each.service, port: { number: 80 } } } }
            : {}),
        },
        each.annotations,
      );
      return { ...object, metadata: { ...(object["metadata"] as object), creationTimestamp: createdAt } };
    });
  const secret = fc
    .record({ pair: fc.constantFrom("first" as const, "second" as const), isGood: fc.boolean() })
    .map(({ pair, isGood }) => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: `t-${pair}` },
      stringData: {
        "tls.crt": isGood ? testPair(pair).crt : "garbage",
        "tls.key": testPair(pair).key,
      },
    }));
  const configMap = fc.constantFrom({}, { "hsts-max-age": "10" }, { "load-balance": "ewma" }).map((data) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "config" },
    data,
  }));
  const ingressClass = fc.constantFrom("k8s.io/ingress-nginx", "example.com/other").map((controller) => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: "nginx" },
    spec: { controller },
  }));
  const upsert = fc
    .oneof(
      { weight: 3, arbitrary: endpointSlice },
      plainEndpoints,
      { weight: 2, arbitrary: anyService },
      { weight: 4, arbitrary: anyIngress },
      { weight: 2, arbitrary: secret },
      configMap,
      ingressClass,
    )
    .map((object) => ({ kind: "upsert" as const, object }));
  const remove = fc
    .oneof(
      names.map((name) => ref("EndpointSlice", `s-${name}`)),
      fc
        .record({ of: fc.constantFrom("Endpoints", "Service", "Ingress"), name: names })
        .map(({ of, name }) => ref(of, name)),
      fc.constantFrom("first", "second").map((pair) => ref("Secret", `t-${pair}`)),
      fc.constantFrom(ref("ConfigMap", "config"), { kind: "IngressClass", namespace: "", name: "nginx" }),
    )
    .map((each) => ({ kind: "delete" as const, ref: each }));
  const pause = fc.constant({ kind: "pause" as const });
  const history = fc.array(
    fc.oneof({ weight: 4, arbitrary: upsert }, remove, { weight: 3, arbitrary: pause }),
    {
      maxLength: 60,
      size: "max",
    },
  );

  const flags = fc.record({
    offline: fc.boolean(),
    defaultSslCertificate: fc.constantFrom("", "default/t-first"),
    defaultBackendService: fc.constantFrom("", "default/c"),
    disableCatchAll: fc.boolean(),
  });

  test("ends in what a translation of the objects gives, endpoints and diagnostics included", async () => {
    await fc.assert(
      fc.asyncProperty(history, flags, async (steps, flagValues) => {
        const translateOptions = { ...options, configMap: "default/config", ...flagValues };
        const { clock, source, publisher, loop } = setUp(translateOptions);
        const start = loop.start();
        source.synced();
        await start;
        let lastGoodCertificates = new Map<string, CertificateIr>();
        const live = new Map<string, ReturnType<typeof decodeObject>>();
        const good = new Map<string, ReturnType<typeof decodeObject>>();
        for (const step of [...steps, { kind: "pause" as const }]) {
          if (step.kind === "pause") {
            clock.advanceMs(buildGapMaxMs);
            const served = [...live].map(([key, decoded]) => good.get(key) ?? decoded);
            const expected = translate(
              served.map((each) => each.object!),
              { ...translateOptions, lastGoodCertificates },
            );
            lastGoodCertificates = new Map(
              expected.ir.certificates.map((each) => [`default/${each.secret.name}`, each]),
            );
            expect(publisher.table).toEqual(expected.ir);
            expect(loop.state.ir).toEqual(expected.ir);
            expectWellFormed(expected.ir);
            const findings = [...live].flatMap(([key, decoded]) =>
              decoded.findings.map((finding) =>
                good.has(key) && finding.isRefusal
                  ? findingDiagnostic(finding, "the object's last good version keeps serving")
                  : findingDiagnostic(finding),
              ),
            );
            expect(loop.state.diagnostics).toEqual(sortDiagnostics([...expected.diagnostics, ...findings]));
          } else if (step.kind === "upsert") {
            source.upsert(step.object);
            const decoded = decodeObject(step.object);
            const key = `${decoded.object!.kind} ${decoded.object!.meta.name}`;
            live.set(key, decoded);
            const isRefused = decoded.findings.some((finding) => finding.isRefusal);
            const annotationsOf = (each: typeof decoded | undefined): unknown =>
              each?.object?.meta.annotations;
            if (!isRefused) good.set(key, decoded);
            else if (!isDeepStrictEqual(annotationsOf(good.get(key)), annotationsOf(decoded)))
              good.delete(key);
          } else {
            source.delete(step.ref);
            live.delete(`${step.ref.kind} ${step.ref.name}`);
            good.delete(`${step.ref.kind} ${step.ref.name}`);
          }
        }
        expect(loop.state.failures).toBe(0);
      }),
      { numRuns: Number(process.env["FUZZ_FACTOR"] ?? 1) * 300 },
    );
  }, 60_000);
});
