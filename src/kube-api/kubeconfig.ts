// One kubeconfig file: the cluster and the user of its current context.
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { AccessError, noAccess, serverOf, type Access, type ExecPlugin, type Material } from "./access.ts";

type Fields = Readonly<Record<string, unknown>>;

/** `path` is where the text is from: files it names are relative to it. */
export function parseKubeconfig(text: string, path: string): Access {
  const config = parseFields(text, path);
  const contextName = textOf(config["current-context"]);
  if (contextName === "") throw new AccessError(`${path}: there is no current-context`);
  const context = entry(config, "contexts", contextName, "context", path);
  const cluster = entry(config, "clusters", textOf(context["cluster"]), "cluster", path);
  const userName = textOf(context["user"]);
  const user = userName === "" ? {} : entry(config, "users", userName, "user", path);
  refuse(cluster, "proxy-url", path);
  refuse(user, "auth-provider", path);
  const material = (from: Fields, key: string): Material | null => materialOf(from, key, path);
  const basicUser = textOf(user["username"]);
  return {
    ...noAccess,
    server: serverOf(textOf(cluster["server"]), `${path}: server`),
    certificateAuthority: material(cluster, "certificate-authority"),
    isInsecure: cluster["insecure-skip-tls-verify"] === true,
    serverName: textOf(cluster["tls-server-name"]),
    token: tokenOf(user, path),
    clientCertificate: material(user, "client-certificate"),
    clientKey: material(user, "client-key"),
    basic: basicUser === "" ? null : { user: basicUser, password: textOf(user["password"]) },
    exec: execOf(user["exec"], path),
  };
}

function parseFields(text: string, path: string): Fields {
  try {
    const value: unknown = parse(text, { prettyErrors: false, logLevel: "error" });
    if (isFields(value)) return value;
  } catch {
    // Said below; the parser's words could quote a token.
  }
  throw new AccessError(`${path} is not a kubeconfig: expected a map in YAML or JSON`);
}

function entry(config: Fields, list: string, name: string, key: string, path: string): Fields {
  const items: unknown = config[list];
  for (const item of Array.isArray(items) ? items : []) {
    if (isFields(item) && item["name"] === name && isFields(item[key])) return item[key];
  }
  throw new AccessError(`${path}: there is no ${key} named ${JSON.stringify(name)}`);
}

function refuse(fields: Fields, key: string, path: string): void {
  if (fields[key] === undefined || fields[key] === null || fields[key] === "") return;
  const instead = key === "auth-provider" ? "; use an exec plugin or a token" : "";
  throw new AccessError(`${path}: ${key} is not supported${instead}`);
}

function materialOf(fields: Fields, key: string, path: string): Material | null {
  const data = textOf(fields[`${key}-data`]);
  if (data !== "") return { text: Buffer.from(data, "base64").toString("utf8") };
  const file = textOf(fields[key]);
  return file === "" ? null : { file: resolve(dirname(path), file) };
}

/** The file wins, as in the client of Go: it may be newer. */
function tokenOf(user: Fields, path: string): Material | null {
  const file = textOf(user["tokenFile"]);
  if (file !== "") return { file: resolve(dirname(path), file) };
  const token = textOf(user["token"]);
  return token === "" ? null : { text: token };
}

function execOf(value: unknown, path: string): ExecPlugin | null {
  if (!isFields(value)) return null;
  const command = textOf(value["command"]);
  if (command === "") throw new AccessError(`${path}: exec has no command`);
  const items = (key: string): readonly unknown[] => {
    const list: unknown = value[key];
    return Array.isArray(list) ? list : [];
  };
  const env = items("env").flatMap((item) =>
    isFields(item) ? [[textOf(item["name"]), textOf(item["value"])] as const] : [],
  );
  return {
    apiVersion: textOf(value["apiVersion"]),
    // A bare name is looked up in PATH; a path is relative to the kubeconfig.
    command: /[/\\]/.test(command) ? resolve(dirname(path), command) : command,
    args: items("args").map(textOf),
    env: Object.fromEntries(env),
    installHint: textOf(value["installHint"]),
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
