import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { findAccess } from "../../src/kube-api/find-access.ts";
import { parseKubeconfig } from "../../src/kube-api/kubeconfig.ts";

const directory = mkdtempSync(path.join(os.tmpdir(), "fairway-kubeconfig-"));
afterAll(() => rmSync(directory, { recursive: true }));

const none = { kubeconfig: "", apiserverHost: "", certificateAuthority: "", env: {} };

function config(cluster: string, user: string): string {
  return `
current-context: c
contexts: [{ name: other, context: { cluster: none } }, { name: c, context: { cluster: k, user: u } }]
clusters: [{ name: k, cluster: { ${cluster} } }]
users: [{ name: u, user: { ${user} } }]
`;
}

describe("a kubeconfig", () => {
  test("names a server, an authority and a token", () => {
    const data = Buffer.from("PEM").toString("base64");
    const text = config(
      `server: "https://api.example:6443/", certificate-authority-data: ${data}, tls-server-name: kube`,
      "token: t0ken",
    );
    expect(parseKubeconfig(text, "/etc/kube/config")).toMatchObject({
      server: "https://api.example:6443",
      certificateAuthority: { text: "PEM" },
      serverName: "kube",
      token: { text: "t0ken" },
      isInsecure: false,
    });
  });

  test("names files relative to itself, and a token file wins over a token", () => {
    const text = config(
      `server: "https://a", certificate-authority: ca.crt`,
      "token: old, tokenFile: /var/token, client-certificate: pki/me.crt, client-key: pki/me.key",
    );
    expect(parseKubeconfig(text, "/etc/kube/config")).toMatchObject({
      certificateAuthority: { file: "/etc/kube/ca.crt" },
      token: { file: "/var/token" },
      clientCertificate: { file: "/etc/kube/pki/me.crt" },
      clientKey: { file: "/etc/kube/pki/me.key" },
    });
  });

  test("names a program for credentials", () => {
    const exec =
      "exec: { apiVersion: client.authentication.k8s.io/v1, command: ./login, args: [a, b], env: [{ name: X, value: y }] }";
    expect(parseKubeconfig(config(`server: "https://a"`, exec), "/etc/kube/config").exec).toMatchObject({
      command: "/etc/kube/login",
      args: ["a", "b"],
      env: { X: "y" },
    });
  });

  test.each([
    ["42", "x is not a kubeconfig: expected a map in YAML or JSON"],
    ["a: [", "x is not a kubeconfig: expected a map in YAML or JSON"],
    ["contexts: []", "x: there is no current-context"],
    ["current-context: c", 'x: there is no context named "c"'],
    [config("server: 7", ""), 'x: server: found "", expected an address such as https://10.0.0.1:6443'],
    [config(`server: "ftp://a"`, ""), 'x: server: found "ftp://a", expected an address'],
    [config(`server: "https://a", proxy-url: "http://p"`, ""), "x: proxy-url is not supported"],
    [config(`server: "https://a"`, "auth-provider: { name: oidc }"), "x: auth-provider is not supported"],
    [config(`server: "https://a"`, "exec: { args: [] }"), "x: exec has no command"],
  ])("that is wrong says how (%#)", (text, message) => {
    expect(() => parseKubeconfig(text, "x")).toThrow(message);
  });
});

describe("which API server", () => {
  test("of the pod, with the service account's files", () => {
    const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
    expect(findAccess({ ...none, env, serviceAccount: "/sa" })).toMatchObject({
      server: "https://[fd00::1]",
      certificateAuthority: { file: "/sa/ca.crt" },
      token: { file: "/sa/token" },
    });
  });

  test("none when this is no pod", () => {
    expect(() => findAccess(none)).toThrow(
      /this is no pod .* neither --kubeconfig, --apiserver-host nor --manifests/,
    );
  });

  test("of --apiserver-host, also before the one of a kubeconfig", () => {
    const file = path.join(directory, "config");
    writeFileSync(file, config(`server: "https://a"`, "token: t"));
    const options = { ...none, apiserverHost: "https://b:1", certificateAuthority: "/ca.pem" };
    expect(findAccess({ ...options, kubeconfig: file })).toMatchObject({
      server: "https://b:1",
      certificateAuthority: { file: "/ca.pem" },
      token: { text: "t" },
    });
    expect(findAccess({ ...none, apiserverHost: "10.0.0.1:8080" })).toMatchObject({
      server: "http://10.0.0.1:8080",
      token: null,
    });
    expect(() => findAccess({ ...none, apiserverHost: "https://" })).toThrow("--apiserver-host: found");
  });

  test("a kubeconfig that cannot be read is named", () => {
    expect(() => findAccess({ ...none, kubeconfig: "/nowhere" })).toThrow(
      "cannot read --kubeconfig /nowhere (ENOENT)",
    );
  });
});
