// `fairway demo`: the manifests of deploy/demo served on loopback, with small backends, and what to try with them.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { columns } from "../admin/table-text.ts";
import { fromFiles } from "./from-files.ts";
import { startEchoBackend, type EchoBackend } from "./echo-backend.ts";
import { defaultValues, translateFlags, type demoFlags, type FlagValues } from "./flags.ts";
import { standardErrorLog } from "./log.ts";
import { serve, type BoundPorts } from "./serve.ts";
import { terminationSignal } from "./signals.ts";
import { StartError, systemCode } from "./start-error.ts";

export const demoDirectory = fileURLToPath(new URL("../../deploy/demo/", import.meta.url));

/** The backends, on the ports that the EndpointSlices of deploy/demo name. */
export const demoBackends: Readonly<Record<string, number>> = {
  "web-1": 18_081,
  "web-2": 18_082,
  api: 18_083,
  "api-canary": 18_084,
  apps: 18_085,
};

/** Long enough to end a request by hand, short enough for Ctrl-C. */
const drainMs = 2_000;

export async function runDemo(values: FlagValues<typeof demoFlags>): Promise<void> {
  const log = standardErrorLog({ level: values.logLevel, format: values.logFormat });
  const signal = terminationSignal();
  const given = values.manifests.length === 0 ? [demoDirectory] : values.manifests;
  // So that what is printed runs from any directory.
  const manifests = given.map((each) => path.resolve(each));
  const { healthCheckPath } = values;
  const flags = { ...defaultValues(translateFlags), allowLoopbackUpstreams: true };
  const translate = { ...fromFiles(flags), healthCheckPath };
  const backends = await startBackends();
  try {
    const controller = await serve({ ...values, manifests, translate, log });
    const { healthzHost } = values;
    process.stdout.write(tour(controller.ports, manifests, healthzHost));
    await signal;
    await controller.shutDown(0, drainMs);
  } finally {
    await Promise.all(backends.map((backend) => backend.close()));
  }
}

async function startBackends(): Promise<EchoBackend[]> {
  const started: EchoBackend[] = [];
  for (const [name, port] of Object.entries(demoBackends)) {
    try {
      started.push(await startEchoBackend(name, port));
    } catch (cause) {
      await Promise.all(started.map((backend) => backend.close()));
      const code = systemCode(cause);
      const why =
        code === "EADDRINUSE" ? "is in use by another program, perhaps another demo" : messageOf(cause);
      throw new StartError(
        `127.0.0.1 port ${port}, for the demo's backend ${name}, ${why}; the port is fixed by deploy/demo (${code})`,
        { cause },
      );
    }
  }
  return started;
}

export interface Trial {
  readonly title: string;
  /** Runnable as it stands. */
  readonly command: string;
}

/** What to try, each with what it gives. */
export function trials({ http, https }: BoundPorts, directory: string): Trial[] {
  const at = (host: string, port: number): string => `--resolve ${host}:${port}:127.0.0.1`;
  const plain = (host: string, rest: string, flags = ""): string =>
    `curl -s ${flags}${at(host, http)} http://${host}:${http}${rest}`;
  const secure = (host: string, rest: string, flags = ""): string =>
    `curl -s ${flags}--cacert ${quoted(path.join(directory, "ca.pem"))} ${at(host, https)} https://${host}:${https}${rest}`;
  return [
    { title: "backend web-1 or web-2, in turn", command: plain("plain.localhost", "/") },
    { title: "backend api: the longer Prefix comes first", command: plain("plain.localhost", "/api/orders") },
    {
      title: "backend web-1 or web-2: Exact comes before Prefix",
      command: plain("plain.localhost", "/api/health"),
    },
    { title: "backend apps: a wildcard host", command: plain("anything.apps.localhost", "/") },
    {
      title: "backend web-1 or web-2, over TLS with the certificate of the Secret",
      command: secure("shop.localhost", "/"),
    },
    {
      title: "backend api, or api-canary for 10 % of the requests",
      command: secure("shop.localhost", "/api/orders"),
    },
    {
      title: "backend api-canary, by the header",
      command: secure("shop.localhost", "/api/orders", "-H 'x-canary: always' "),
    },
    {
      title: "backend api, never the canary",
      command: secure("shop.localhost", "/api/orders", "-H 'x-canary: never' "),
    },
    {
      title: "308 to https://shop.localhost/, because the host has TLS (in real life without port)",
      command: plain("shop.localhost", "/", "-o /dev/null -w '%{http_code} %{redirect_url}\\n' "),
    },
    {
      title: "404 of the built-in default backend",
      command: plain("unknown.localhost", "/", "-o /dev/null -w '%{http_code}\\n' "),
    },
    {
      title: "about 10 of 100: the canary's share",
      command: `for i in $(seq 100); do ${secure("shop.localhost", "/api/orders")}; done | grep -c api-canary`,
    },
  ];
}

function tour(ports: BoundPorts, manifests: readonly string[], adminHost: string): string {
  const { http, https, admin } = ports;
  const [directory = demoDirectory] = manifests;
  const urls = [
    [`http://plain.localhost:${http}/`, "web-1, web-2"],
    [`http://plain.localhost:${http}/api`, "api (but Exact /api/health: web-1, web-2)"],
    [`http://<any name>.apps.localhost:${http}/`, "apps"],
    [`https://shop.localhost:${https}/`, "web-1, web-2; HTTP is redirected"],
    [`https://shop.localhost:${https}/api`, "api; 10 % and `x-canary: always` go to api-canary"],
  ];
  const status = `http://${adminHost.includes(":") ? `[${adminHost}]` : adminHost}:${admin}`;
  return [
    "",
    "Fairway serves:",
    ...columns(urls),
    "",
    "Try (every line runs as it stands):",
    ...trials(ports, directory).flatMap(({ title, command }) => [`  # ${title}`, `  ${command}`]),
    "",
    `Edit:    ${manifests.map((each) => quoted(each)).join(", ")} - a change is live at once, without a failed request`,
    `Status:  ${status}/debug/table   ${status}/debug/diagnostics   ${status}/metrics`,
    "End:     Ctrl-C",
    "",
    "",
  ].join("\n");
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
