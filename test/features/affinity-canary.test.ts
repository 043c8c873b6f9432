// Who gets a request when sessions and canaries meet: the primary's session, then the canary's, then the canary's rules.
import { describe, expect, test } from "vitest";
import { affinity } from "../../src/features/affinity/affinity.ts";
import { canary } from "../../src/features/canary/canary.ts";
import { decide } from "../../src/proxy/routing/decide.ts";
import type { TraceStep } from "../../src/proxy/routing/snapshot.ts";
import { compile } from "../../src/proxy/routing/table.ts";
import { request, route, routingIr } from "../proxy/routing/ir-builder.ts";
import { parseFeature, runtimes } from "./feature-harness.ts";

interface Options {
  /** Upstreams with cookie affinity. */
  readonly sticky?: readonly string[];
  readonly empty?: readonly string[];
  /** Annotations of the canaries `c0`, `c1`, ... Default: one, with a header and all of the weight. */
  readonly canaries?: readonly Readonly<Record<string, string>>[];
}

const byHeader = { "canary-by-header": "x-canary", "canary-weight": "100" };

function setUp({ sticky = ["p", "c0"], empty = [], canaries = [byHeader] }: Options) {
  const alternatives = canaries.map((annotations, index) => ({
    upstream: `c${index}`,
    features: parseFeature(canary, { canary: "true", ...annotations }).features,
  }));
  const ir = routingIr({
    hosts: { "a.example": [route("Prefix /", { upstream: "p", alternatives })] },
    empty,
  });
  const { features } = parseFeature(affinity, { affinity: "cookie", "session-cookie-name": "route" });
  const upstreams = ir.upstreams.map((each) => (sticky.includes(each.id) ? { ...each, features } : each));
  const snapshot = compile({ ...ir, upstreams }, runtimes, null);
  expect(snapshot.table.problems).toEqual([]);
  const idOf = (upstream: string): string =>
    snapshot.table.upstreamSettings[snapshot.table.upstreamIndexes.get(upstream) ?? -1]?.sessionId ?? "";
  const send = (cookie: string, header?: string) => {
    const trace: TraceStep[] = [];
    const fields = {
      ...(cookie === "" ? {} : { cookie }),
      ...(header === undefined ? {} : { "x-canary": header }),
    };
    const view = request("a.example/", { fields, draw: 0 });
    const decision = decide(snapshot, view, trace);
    expect(decide(snapshot, view)).toEqual(decision);
    const taker =
      decision.kind === "forward" ? snapshot.table.upstreams[decision.upstream]?.id : decision.kind;
    const reasons = trace.filter(({ stage }) => stage === "backend");
    return { taker, reasons: reasons.map((step) => `${step.candidate} ${step.outcome}: ${step.reason}`) };
  };
  return { idOf, send };
}

describe("a session of the primary", () => {
  test("comes before the header, the cookie rule and the weight of a canary", () => {
    const { idOf, send } = setUp({});
    expect(send(`route=key|${idOf("p")}`, "always")).toEqual({
      taker: "p",
      reasons: ["p won: session cookie route keeps it"],
    });
    expect(send(`route=key|${idOf("p")}`).taker).toBe("p");
  });

  test("counts beside a canary that keeps none", () => {
    const { idOf, send } = setUp({ sticky: ["p"] });
    expect(send(`route=key|${idOf("p")}`, "always").taker).toBe("p");
    expect(send("", "always").taker).toBe("c0");
  });

  test("answers 503 when the primary has no endpoints, whatever the canary has", () => {
    const { idOf, send } = setUp({ empty: ["p"] });
    expect(send(`route=key|${idOf("p")}`).taker).toBe("refuse");
    expect(send(`route=key|${idOf("c0")}`).taker).toBe("refuse");
  });
});

describe("a session of a canary", () => {
  test("comes before its rules", () => {
    const { idOf, send } = setUp({});
    expect(send(`route=key|${idOf("c0")}`, "never")).toEqual({
      taker: "c0",
      reasons: ["c0 won: session cookie route keeps it", "p lost: an alternative takes the request"],
    });
  });

  test("is over when the canary has no endpoints", () => {
    const { idOf, send } = setUp({ empty: ["c0"] });
    expect(send(`route=key|${idOf("c0")}`)).toEqual({
      taker: "p",
      reasons: [
        "c0 lost: session cookie route would keep it, but it has no endpoints",
        "c0 lost: has no endpoints",
        "p won: the primary backend",
      ],
    });
  });

  test("keeps its client from the other canaries", () => {
    const { idOf, send } = setUp({
      sticky: ["p", "c0", "c1"],
      canaries: [byHeader, { "canary-weight": "0" }],
    });
    expect(send(`route=key|${idOf("c1")}`, "always").taker).toBe("c1");
  });
});

describe("a cookie that names no session", () => {
  test.each([
    ["", "c0"],
    ["route=key", "c0"],
    ["route=key|", "c0"],
    ["route=key|0123456789abcdef0123456789abcdef", "c0"],
    ["other=key|ID", "c0"],
    ["route=key|ID|more", "p"],
    ["a=1; route=key|ID; b=2", "p"],
  ])("%j leaves the request to the rules: %s", (cookie, taker) => {
    const { idOf, send } = setUp({});
    expect(send(cookie.replace("ID", idOf("p"))).taker).toBe(taker);
  });
});

test("ids are those of ingress-nginx", () => {
  expect(setUp({}).idOf("p")).not.toBe(setUp({}).idOf("c0"));
  const ir = routingIr({ hosts: { "a.example": [route("Prefix /", { upstream: "web" })] } });
  const { features } = parseFeature(affinity, { affinity: "cookie" });
  const upstreams = ir.upstreams.map((each) => ({ ...each, features }));
  const [settings] = compile({ ...ir, upstreams }, runtimes, null).table.upstreamSettings;
  expect(settings).toMatchObject({ name: "default-web-80", sessionId: "6cde5721ec2c7e2bce07cff7d0e4ac37" });
});

test("a broken feature of an upstream leaves it the default settings, and its routes serve", () => {
  const ir = routingIr({ hosts: { "a.example": [route("Prefix /", { upstream: "web" })] } });
  for (const feature of ["unheard-of", "hsts"]) {
    const upstreams = ir.upstreams.map((each) => ({ ...each, features: [{ feature, config: {} }] }));
    const snapshot = compile({ ...ir, upstreams }, runtimes, null);
    expect(snapshot.table.problems).toEqual([
      expect.stringMatching(/^upstream web: .*it has the default settings$/),
    ]);
    expect(decide(snapshot, request("a.example/")).kind).toBe("forward");
  }
});
