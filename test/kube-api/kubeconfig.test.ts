import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Access, Credentials } from "../../src/kube-api/access.ts";
import { findAccess } from "../../src/kube-api/find-access.ts";
import { rereadPauseMs } from "../../src/kube-api/kubeconfig.ts";
import { ManualClock } from "../../src/util/clock.ts";

const directory = mkdtempSync(path.join(os.tmpdir(), "fairway-kubeconfig-"));
afterAll(() => rmSync(directory, { recursive: true }));

const clock = new ManualClock();
const none = { kubeconfig: "", apiserverHost: "", certificateAuthority: "", env: {}, clock };

function config(cluster: string, user: string): string {
  return `
apiVersion: v1
kind: Config
current-context: c
contexts: [{ name: other, context: { cluster: none, user: none } }, { name: c, context: { cluster: k, user: u } }]
clusters: [{ name: k, cluster: { ${cluster} } }]
users: [{ name: u, user: { ${user} } }]
`;
}

function write(name: string, text: string): string {
  const file = path.join(directory, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

async function load(text: string): Promise<Access> {
  return findAccess({ ...none, kubeconfig: write("config", text) });
}

async function credentials(text: string): Promise<Credentials> {
  const { kubeconfig } = await load(text);
  return kubeconfig!.read(false);
}

describe("a kubeconfig", () => {
  test("names a server, an authority and a token", async () => {
    const data = Buffer.from("PEM").toString("base64");
    const text = config(
      `server: "https://api.example:6443/", certificate-authority-data: ${data}, tls-server-name: kube`,
      "token: t0ken",
    );
    expect(await load(text)).toMatchObject({
      server: "https://api.example:6443",
      serverName: "kube",
      isInsecure: false,
    });
    expect(await credentials(text)).toEqual({
      headers: { authorization: "Bearer t0ken" },
      ca: "PEM",
      certificate: null,
      key: null,
      agent: null,
    });
  });

  test("names files relative to itself", async () => {
    write("pki/ca.crt", "CA");
    write("pki/me.crt", "CRT");
    write("pki/me.key", "KEY");
    const text = config(
      `server: "https://a", certificate-authority: pki/ca.crt, insecure-skip-tls-verify: true`,
      "client-certificate: pki/me.crt, client-key: pki/me.key",
    );
    expect((await load(text)).isInsecure).toBe(true);
    expect(await credentials(text)).toMatchObject({ ca: "CA", certificate: "CRT", key: "KEY" });
  });

  test("may ask for a user and a password, another identity, a proxy", async () => {
    const basic = config(`server: "https://a"`, `username: me, password: "p:w"`);
    expect((await credentials(basic)).headers).toEqual({
      authorization: `Basic ${Buffer.from("me:p:w").toString("base64")}`,
    });
    const other = config(`server: "https://a"`, "token: t, as: other");
    expect((await credentials(other)).headers).toMatchObject({ "impersonate-user": "other" });
    const proxied = config(`server: "https://a", proxy-url: "http://127.0.0.1:1"`, "token: t");
    expect((await credentials(proxied)).agent).not.toBeNull();
  });

  test("may name a program for credentials, which is asked again when its token is refused", async () => {
    const counter = path.join(directory, "count");
    const script = `n=$(cat ${counter} 2>/dev/null || echo 0); n=$((n+1)); echo $n > ${counter}; echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t'$n'"}}'`;
    const program = write("login.sh", script);
    const exec = `exec: { apiVersion: client.authentication.k8s.io/v1, command: sh, args: [${program}], interactiveMode: Never }`;
    const { kubeconfig } = await load(config(`server: "https://a"`, exec));
    const token = async (isRefused: boolean): Promise<string | undefined> =>
      (await kubeconfig!.read(isRefused)).headers["authorization"];
    expect(await token(false)).toBe("Bearer t1");
    expect(await token(false)).toBe("Bearer t1");
    // Not in a row: it may ask a person.
    expect(await token(true)).toBe("Bearer t1");
    clock.advanceMs(rereadPauseMs);
    expect(await token(true)).toBe("Bearer t2");
  });

  test("whose program fails is told without what it printed", async () => {
    const program = write("fail.sh", "echo s3cret; exit 1");
    const exec = `exec: { apiVersion: client.authentication.k8s.io/v1, command: sh, args: [${program}] }`;
    const reading = credentials(config(`server: "https://a"`, exec));
    await expect(reading).rejects.toThrow(/the credentials of the current user cannot be read$/);
  });

  test("that was replaced is read again when it is refused", async () => {
    const { kubeconfig } = await load(config(`server: "https://a"`, "token: old"));
    write("config", config(`server: "https://a"`, "token: new"));
    clock.advanceMs(rereadPauseMs);
    expect((await kubeconfig!.read(false)).headers["authorization"]).toBe("Bearer old");
    expect((await kubeconfig!.read(true)).headers["authorization"]).toBe("Bearer new");
  });

  test.each([
    ["42", "current-context names no context that is there"],
    ["a: [ s3cret", "is not a kubeconfig"],
    ["contexts: []\nclusters: []\nusers: []", "current-context names no context that is there"],
    [config(`server: "ftp://a"`, ""), 'server: found "ftp://a", expected an address'],
    [
      config(`server: "https://a"`, "").replace("cluster: k,", "cluster: x,"),
      "names no cluster that is there",
    ],
  ])("that is wrong says how (%#)", async (text, message) => {
    const error = await load(text).then(
      () => null,
      (cause: unknown) => cause,
    );
    expect(String(error)).toContain(message);
    expect(String(error)).not.toContain("s3cret");
  });
});

describe("which API server", () => {
  test("of the pod, with the service account's files", async () => {
    const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
    expect(await findAccess({ ...none, env, serviceAccount: "/sa" })).toMatchObject({
      server: "https://[fd00::1]",
      certificateAuthority: { file: "/sa/ca.crt" },
      token: { file: "/sa/token" },
      kubeconfig: null,
    });
  });

  test("none when this is no pod", async () => {
    await expect(findAccess(none)).rejects.toThrow(
      /this is no pod .* neither --kubeconfig, --apiserver-host nor --manifests/,
    );
  });

  test("of --apiserver-host, also before the one of a kubeconfig", async () => {
    const file = write("config", config(`server: "https://a"`, "token: t"));
    const options = { ...none, apiserverHost: "https://b:1", certificateAuthority: "/ca.pem" };
    const access = await findAccess({ ...options, kubeconfig: file });
    expect(access).toMatchObject({ server: "https://b:1", certificateAuthority: { file: "/ca.pem" } });
    expect((await access.kubeconfig!.read(false)).headers["authorization"]).toBe("Bearer t");
    expect(await findAccess({ ...none, apiserverHost: "10.0.0.1:8080" })).toMatchObject({
      server: "http://10.0.0.1:8080",
      token: null,
    });
    await expect(findAccess({ ...none, apiserverHost: "https://" })).rejects.toThrow(
      "--apiserver-host: found",
    );
  });

  test("a kubeconfig that cannot be read is named", async () => {
    await expect(findAccess({ ...none, kubeconfig: "/nowhere" })).rejects.toThrow(
      "cannot read --kubeconfig /nowhere (ENOENT)",
    );
  });
});
