// The small world that admission looks at says what a translation of the whole cluster would say.
import { expect, test } from "vitest";
import { decodeObject } from "../../../src/controller/decode/decode.ts";
import type { IngressObject, KubeObject } from "../../../src/controller/objects.ts";
import { defaultTranslateOptions } from "../../../src/controller/translate/options.ts";
import { translate } from "../../../src/controller/translate/translate.ts";
import { features } from "../../../src/features/registry.ts";
import { formatDiagnostic, type Diagnostic } from "../../../src/ir/diagnostic.ts";
import { ingress, rule, service, slice } from "../fake-source.ts";
import { clusterOf, nginxClass, withMeta, type Value } from "./support.ts";

const prefix = "nginx.ingress.kubernetes.io";
const rounds = 300;

/** Numbers below `n`, always the same for one seed. */
function numbers(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const annotationSets: readonly Value[] = [
  {},
  {},
  {},
  { [`${prefix}/ssl-redirect`]: "maybe" },
  { [`${prefix}/canary`]: "true", [`${prefix}/canary-weight`]: "20" },
  { [`${prefix}/affinity`]: "cookie" },
  { [`${prefix}/load-balance`]: "ewma" },
  { [`${prefix}/auth-url`]: "http://auth.example" },
  { [`${prefix}/no-such-thing`]: "1" },
];

function someIngress(name: string, below: (n: number) => number): Value {
  const hosts = ["", "a.example", "b.example", "*.example", "c.example"];
  const rules = Array.from({ length: 1 + below(2) }, () =>
    rule(hosts[below(hosts.length)] ?? "", {
      [["/", "/x", "/y"][below(3)] ?? "/"]: [
        ["web", "api", "gone"][below(3)] ?? "web",
        [80, 81][below(8) === 0 ? 1 : 0] ?? 80,
      ],
    }),
  );
  const spec: Value = {
    rules,
    ingressClassName: below(10) === 0 ? "other" : "nginx",
    ...(below(6) === 0 ? { defaultBackend: { service: { name: "web", port: { number: 80 } } } } : {}),
    ...(below(5) === 0 ? { tls: [{ hosts: ["a.example"], secretName: "none" }] } : {}),
  };
  const value = ingress(name, spec, annotationSets[below(annotationSets.length)] ?? {});
  return withMeta(value, { creationTimestamp: `2026-01-0${1 + below(5)}T00:00:00Z` });
}

function objectOf(value: Value): KubeObject {
  const { object } = decodeObject(value);
  if (object === null) throw new Error("the test's object does not decode");
  return object;
}

const options = { ...defaultTranslateOptions, parsers: features, lastGoodCertificates: new Map() };
const aboutSecrets = new Set(["SecretNotFound", "TlsHostNotListed", "TlsWithoutEffect"]);

function told(values: readonly Value[]): readonly Diagnostic[] {
  return translate(values.map(objectOf), options).diagnostics.filter(
    ({ reason }) => !aboutSecrets.has(reason),
  );
}

test("news are those of the whole cluster, and what is accepted in silence makes no error", async () => {
  const outcomes: Record<string, number> = {};
  for (let seed = 1; seed <= rounds; seed += 1) {
    const below = numbers(seed);
    const fixed = [nginxClass, service("web"), service("api"), slice("web-1", "web", ["10.0.0.1"])];
    const present = Array.from({ length: 1 + below(6) }, (_, index) =>
      someIngress(`present-${index}`, below),
    );
    const isUpdate = below(2) === 0;
    const name = isUpdate ? "present-0" : "new";
    const candidate = someIngress(name, below);
    const cluster = await clusterOf([...fixed.slice(1), ...present]);
    const others = present.filter((each) => (each["metadata"] as Value)["name"] !== name);
    const [old] = present;
    const how = isUpdate && old !== undefined ? { old } : {};

    const before = told([...fixed, ...present]).map(formatDiagnostic);
    const after = told([...fixed, ...others, candidate]);
    const expected = after.map(formatDiagnostic).filter((each) => !before.includes(each));
    const oldObject = how.old === undefined ? null : (objectOf(how.old) as IngressObject);
    const trial = cluster.loop.tryOut(objectOf(candidate) as IngressObject, oldObject);
    const found = [...(trial?.own ?? []), ...(trial?.news ?? [])].map(formatDiagnostic);
    const fresh = [...new Set(found)].filter((each) => !before.includes(each));
    if (trial?.foreignBecause === null) expect(fresh.sort(), `seed ${seed}`).toEqual([...expected].sort());

    const verdict = cluster.judge(candidate, how);
    outcomes[verdict.outcome] = (outcomes[verdict.outcome] ?? 0) + 1;
    if (verdict.outcome !== "allowed") continue;
    const errors = after.filter(
      (each) => each.severity === "error" && !before.includes(formatDiagnostic(each)),
    );
    expect(errors, `seed ${seed}`).toEqual([]);
  }
  // Otherwise it would have shown nothing.
  for (const outcome of ["allowed", "warned", "refused", "foreign"])
    expect(outcomes[outcome]).toBeGreaterThan(5);
});
