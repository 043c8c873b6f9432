import { availableParallelism } from "node:os";
import { Command, CommanderError } from "commander";
import { describe, expect, test } from "vitest";
import { addFlags, flagValues, normalizeWords } from "../../src/cli/arguments.ts";
import type { Flag } from "../../src/cli/flag-types.ts";
import { controllerFlags, demoFlags } from "../../src/cli/flags.ts";
import { meaninglessFlags, unsupportedFlags } from "../../src/cli/unsupported-flags.ts";

class Failure extends Error {}

/** What the controller reads from the words; throws with what it would print. */
function parse(...words: string[]): ReturnType<typeof flagValues<typeof controllerFlags>> {
  let printed = "";
  const command = new Command("controller").exitOverride().configureOutput({
    writeErr: (text) => {
      printed += text;
    },
  });
  addFlags(command, controllerFlags);
  const normal = normalizeWords(words, controllerFlags, (message) => {
    throw new Failure(message);
  });
  try {
    command.parse(normal, { from: "user" });
  } catch (cause) {
    throw cause instanceof CommanderError ? new Failure(printed) : cause;
  }
  return flagValues(command, controllerFlags);
}

describe("flags", () => {
  test.each([
    ["an address of all", ["--validating-webhook=:8443"], { host: "", port: 8443 }],
    ["IPv6 in brackets", ["--validating-webhook=[::1]:0"], { host: "::1", port: 0 }],
  ])("of the webhook take %s", (_, words, expected) => {
    expect(parse(...words).validatingWebhook).toEqual(expected);
  });

  test("have the defaults of ingress-nginx", () => {
    expect(parse()).toEqual({
      manifests: [],
      validatingWebhook: null,
      validatingWebhookCertificate: "",
      validatingWebhookKey: "",
      admissionPathConflicts: "refuse",
      kubeconfig: "",
      apiserverHost: "",
      certificateAuthority: "",
      kubeApiQps: 100,
      kubeApiBurst: 200,
      watchNamespaceSelector: "",
      publishService: "",
      publishStatusAddress: [],
      reportNodeInternalIpAddress: false,
      updateStatus: true,
      status: "own",
      updateStatusOnShutdown: true,
      statusUpdateInterval: 60,
      electionId: "ingress-controller-leader",
      electionTtl: 30_000,
      disableLeaderElection: false,
      workers: availableParallelism(),
      httpPort: 80,
      httpsPort: 443,
      bindAddress: [],
      healthzPort: 10_254,
      healthzHost: "",
      healthCheckPath: "/healthz",
      ingressClass: "nginx",
      controllerClass: "k8s.io/ingress-nginx",
      ingressClassByName: false,
      watchIngressWithoutClass: false,
      watchNamespace: "",
      disableCatchAll: false,
      annotationsPrefix: "nginx.ingress.kubernetes.io",
      configMap: "",
      defaultBackendService: "",
      defaultSslCertificate: "",
      tcpServicesConfigMap: "",
      udpServicesConfigMap: "",
      disableSvcExternalName: false,
      enableTopologyAwareRouting: false,
      zone: process.env["FAIRWAY_ZONE"] ?? "",
      nodeName: process.env["NODE_NAME"] ?? "",
      allowLoopbackUpstreams: false,
      shutdownGracePeriod: 0,
      workerShutdownTimeout: 240,
      connectionsMax: 16_384,
      connectionsPerClientMax: 0,
      overloadEventLoopDelay: 500,
      overloadMemory: 90,
      logLevel: "info",
      logFormat: "text",
    });
  });

  test("take their value after a blank or an equals sign", () => {
    expect(parse("--http-port", "8080", "--https-port=8443", "--configmap=ingress/settings")).toMatchObject({
      httpPort: 8080,
      httpsPort: 8443,
      configMap: "ingress/settings",
    });
  });

  test("that are durations take them as Go writes them", () => {
    expect(parse("--election-ttl=1m30s").electionTtl).toBe(90_000);
    expect(parse("--election-ttl=2500ms").electionTtl).toBe(2_500);
    expect(parse("--election-ttl=0.5m").electionTtl).toBe(30_000);
  });

  test("that are booleans are true alone, and take a value with an equals sign only", () => {
    expect(parse("--disable-catch-all").disableCatchAll).toBe(true);
    expect(parse("--disable-catch-all=false").disableCatchAll).toBe(false);
    expect(parse("--disable-catch-all=T", "--ingress-class-by-name", "--http-port=1")).toMatchObject({
      disableCatchAll: true,
      ingressClassByName: true,
      httpPort: 1,
    });
    expect(() => parse("--disable-catch-all", "false")).toThrow("too many arguments");
  });

  test("given twice take the last value, except directories, which add up", () => {
    const values = parse("--http-port=1", "--manifests", "a", "--http-port=2", "--manifests=b");
    expect(values).toMatchObject({ httpPort: 2, manifests: ["a", "b"] });
  });

  test("with addresses take a list", () => {
    expect(parse("--bind-address", "127.0.0.1, [::1]").bindAddress).toEqual(["127.0.0.1", "::1"]);
    expect(parse("--healthz-host=::").healthzHost).toBe("::");
  });
});

describe("a wrong value names the flag, what was found and what was expected", () => {
  test.each([
    ["--http-port", "80a", "a port, 0 to 65535"],
    ["--http-port", "65536", "a port, 0 to 65535"],
    ["--http-port", "", "a port, 0 to 65535"],
    ["--http-port", "-1", "a port, 0 to 65535"],
    ["--http-port", "8O", "a port, 0 to 65535"],
    ["--bind-address", "127.0.0.1,localhost", "an IPv4 or IPv6 address"],
    ["--healthz-host", "localhost", "an IPv4 or IPv6 address"],
    ["--configmap", "settings", "namespace/name"],
    ["--default-backend-service", "a/b/c", "namespace/name"],
    ["--disable-catch-all", "yes", "true or false"],
    ["--watch-namespace", "Shop", "a name of lower-case letters"],
    ["--health-check-path", "healthz", "a path that begins with /"],
    ["--shutdown-grace-period", "10s", "a number of seconds"],
    ["--log-level", "loud", "one of error, warning, info, debug"],
    ["--log-format", "xml", "text or json"],
    ["--manifests", "", "a directory"],
    ["--election-ttl", "30", "a duration such as 30s"],
    ["--election-ttl", "1s", "a duration such as 30s"],
    ["--election-ttl", "s", "a duration such as 30s"],
    ["--publish-status-address", "203.0.113.1,a_b", "IP addresses and DNS names"],
    ["--status", "write", "own, observe or off"],
  ])("%s=%s", (flag, value, expected) => {
    const run = (): unknown => parse(`${flag}=${value}`);
    expect(run).toThrow(flag);
    expect(run).toThrow(`'${value}'`);
    expect(run).toThrow(`xpected ${expected}`);
  });
});

describe("a flag that is not taken", () => {
  test("fails with a suggestion when it is unknown", () => {
    expect(() => parse("--htp-port=80")).toThrow("unknown flag --htp-port (did you mean --http-port?)");
    expect(() => parse("--disable_catch_all")).toThrow("(did you mean --disable-catch-all?)");
    expect(() => parse("--quux")).toThrow(/unknown flag --quux$/);
  });

  test.each(["--sync-period=1", "--enable-ssl-passthrough", "--enable-metrics", "--deep-inspect"])(
    "fails saying that Fairway does not support it yet: %s",
    (word) => {
      const [flag] = word.split("=");
      expect(() => parse(word)).toThrow(
        `${flag} is a flag of ingress-nginx that Fairway does not support yet`,
      );
    },
  );

  test.each(["--v=2", "-v=2", "-v", "--logtostderr", "--profiling=false", "--skip_headers"])(
    "fails saying that it has no meaning: %s",
    (word) => {
      expect(() => parse(word)).toThrow(/has no meaning for Fairway \(.*\); leave it out/);
    },
  );

  test("is left alone after --", () => {
    expect(() => parse("--", "--kubeconfig")).toThrow("too many arguments");
  });
});

test("the lists of refused flags hold no flag that is taken, and none twice", () => {
  const taken = Object.values<Flag<unknown>>({ ...controllerFlags, ...demoFlags }).map(({ name }) => name);
  const refused = [...unsupportedFlags, ...meaninglessFlags.keys()];
  expect(refused.filter((name) => taken.includes(name))).toEqual([]);
  expect(new Set(refused).size).toBe(refused.length);
});
