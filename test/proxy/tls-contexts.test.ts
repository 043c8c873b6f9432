import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import tls, { type TLSSocket } from "node:tls";
import { X509Certificate } from "node:crypto";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { makeCertificate, type CertificatePair } from "../../certs/make.ts";
import type { CertificateIr } from "../../src/ir/routing.ts";
import type { CompiledRoute, RoutingTable, VirtualHost } from "../../src/proxy/routing/snapshot.ts";
import { TlsContexts } from "../../src/proxy/tls-contexts.ts";
import { ManualClock } from "../../src/util/clock.ts";

let selfSigned: CertificatePair;
let rsa: CertificateIr;
let ec: CertificateIr;
let renewed: CertificateIr;
let wildcard: CertificateIr;
const cleanUps: (() => void)[] = [];

beforeAll(async () => {
  selfSigned = await makeCertificate({ names: ["fallback.example"], keyType: "rsa" });
  rsa = await certificate("web", "rsa", ["a.example"]);
  ec = await certificate("web-ec", "ec", ["a.example"]);
  renewed = await certificate("web", "rsa", ["a.example"]);
  wildcard = await certificate("wild", "ec", ["*.a.example"]);
});

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

async function certificate(
  secret: string,
  keyType: "rsa" | "ec",
  names: readonly string[],
): Promise<CertificateIr> {
  const pair = await makeCertificate({ names, keyType });
  const { fingerprint256, validToDate } = new X509Certificate(pair.chain);
  return {
    ...pair,
    id: fingerprint256,
    secret: { kind: "Secret", namespace: "default", name: secret },
    keyType,
    names,
    notAfter: validToDate.toISOString(),
  };
}

/** A table as far as certificates go. */
function tableOf(
  hosts: Readonly<Record<string, readonly CertificateIr[]>>,
  defaultCertificate: CertificateIr | null = null,
): RoutingTable {
  const virtualHost = (host: string, certificates: readonly CertificateIr[]): VirtualHost => ({
    ir: { host, isTls: host !== "", certificates: [], routes: [] },
    host,
    isTls: host !== "",
    certificates,
    routes: [],
    root: {} as CompiledRoute,
    exactPaths: new Map(),
    prefixPaths: new Map(),
    prefixLengths: [],
  });
  const entries = Object.entries(hosts).map(([host, all]) => [host, virtualHost(host, all)] as const);
  return {
    exactHosts: new Map(entries.filter(([host]) => !host.startsWith("*"))),
    wildcardHosts: new Map(
      entries.filter(([host]) => host.startsWith("*")).map(([host, each]) => [host.slice(1), each]),
    ),
    catchAll: virtualHost("", []),
    upstreams: [],
    upstreamSettings: [],
    upstreamIndexes: new Map(),
    defaultBackend: -1,
    certificates: new Map(
      [...Object.values(hosts).flat(), ...(defaultCertificate === null ? [] : [defaultCertificate])].map(
        (each) => [each.id, each],
      ),
    ),
    defaultCertificate,
    problems: [],
    problemsByPart: new Map(),
  };
}

function makeContexts(): TlsContexts {
  const contexts = new TlsContexts(selfSigned, new ManualClock());
  cleanUps.push(() => contexts.close());
  return contexts;
}

/** A server as the proxy makes it: a plain accepted socket, wrapped. It echoes. */
async function serve(contexts: TlsContexts): Promise<number> {
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    socket.on("error", () => undefined);
    const secure = new tls.TLSSocket(socket, contexts.serverOptions);
    secure.on("error", () => secure.destroy());
    secure.on("data", (data) => secure.write(data));
    secure.on("end", () => secure.end());
    cleanUps.push(() => secure.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUps.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function handshake(port: number, options: tls.ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  cleanUps.push(() => socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

function fingerprint(pair: { readonly chain: string }): string {
  return new X509Certificate(pair.chain).fingerprint256;
}

async function served(port: number, options: tls.ConnectionOptions = {}): Promise<string> {
  const socket = await handshake(port, options);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

describe("the certificate of a handshake", () => {
  test("is the one of the key type that the client can verify", async () => {
    const contexts = makeContexts();
    contexts.publish(tableOf({ "a.example": [rsa, ec] }));
    const port = await serve(contexts);
    const servername = "a.example";
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const rsaOnly = { servername, maxVersion, sigalgs: "RSA-PSS+SHA256:RSA+SHA256" };
      const ecOnly = { servername, maxVersion, sigalgs: "ECDSA+SHA256" };
      expect(await served(port, rsaOnly)).toBe(fingerprint(rsa));
      expect(await served(port, ecOnly)).toBe(fingerprint(ec));
      const rsaCiphers = {
        servername,
        maxVersion,
        ciphers: "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256",
      };
      const expected = maxVersion === "TLSv1.3" ? ec : rsa;
      expect(await served(port, rsaCiphers)).toBe(fingerprint(expected));
      expect(await served(port, { servername, maxVersion })).toBe(fingerprint(expected));
    }
  });

  test("is chosen by server name, and the default one without a name or for an unknown one", async () => {
    const contexts = makeContexts();
    contexts.publish(tableOf({ "a.example": [ec], "*.a.example": [wildcard], "b.example": [] }));
    const port = await serve(contexts);
    expect(await served(port, { servername: "a.example" })).toBe(fingerprint(ec));
    expect(await served(port, { servername: "A.Example" })).toBe(fingerprint(ec));
    expect(await served(port, { servername: "x.a.example" })).toBe(fingerprint(wildcard));
    for (const servername of ["y.x.a.example", "b.example", "unknown.example", "localhost", "a", ""]) {
      expect(await served(port, { servername })).toBe(fingerprint(selfSigned));
    }
    expect(await served(port)).toBe(fingerprint(selfSigned));
  });

  test("is the configured default where there is one", async () => {
    const contexts = makeContexts();
    contexts.publish(tableOf({ "a.example": [ec] }, rsa));
    const port = await serve(contexts);
    expect(await served(port)).toBe(fingerprint(rsa));
    expect(await served(port, { servername: "unknown.example" })).toBe(fingerprint(rsa));
    contexts.publish(tableOf({ "a.example": [ec] }));
    expect(await served(port)).toBe(fingerprint(selfSigned));
  });

  test("is the self-signed one before the first table", async () => {
    const port = await serve(makeContexts());
    expect(await served(port, { servername: "a.example" })).toBe(fingerprint(selfSigned));
  });
});

describe("a new certificate", () => {
  test("is served to new connections while an open one stays as it is", async () => {
    const contexts = makeContexts();
    contexts.publish(tableOf({ "a.example": [rsa] }));
    const port = await serve(contexts);
    const open = await handshake(port, { servername: "a.example" });
    contexts.publish(tableOf({ "a.example": [renewed] }));
    expect(await served(port, { servername: "a.example" })).toBe(fingerprint(renewed));
    open.write("still here");
    const [answer] = (await once(open, "data")) as [Buffer];
    expect(answer.toString()).toBe("still here");
    expect(open.getPeerCertificate().fingerprint256).toBe(fingerprint(rsa));
  });

  test("that was seen before keeps its context", () => {
    const contexts = makeContexts();
    contexts.publish(tableOf({ "a.example": [rsa], "b.example": [ec] }));
    const before = contexts.contextFor("a.example", null);
    contexts.publish(tableOf({ "a.example": [rsa] }));
    expect(contexts.contextFor("a.example", null)).toBe(before);
  });
});

describe("a broken pair", () => {
  const broken = (): CertificateIr => ({ ...renewed, id: "broken", key: ec.key });

  test("keeps the last good certificate, is reported, and touches no other host", async () => {
    const contexts = makeContexts();
    expect(contexts.publish(tableOf({ "a.example": [rsa], "b.example": [ec] }))).toEqual([]);
    const port = await serve(contexts);
    for (let time = 0; time < 3; time += 1) {
      const problems = contexts.publish(tableOf({ "a.example": [broken()], "b.example": [ec] }));
      expect(problems).toHaveLength(1);
      expect(problems[0]).toMatch(/^Secret default\/web is not used: .*key/);
      expect(problems[0]).not.toContain("PRIVATE");
      expect(await served(port, { servername: "a.example" })).toBe(fingerprint(rsa));
      expect(await served(port, { servername: "b.example" })).toBe(fingerprint(ec));
    }
    expect(contexts.publish(tableOf({ "a.example": [renewed] }))).toEqual([]);
    expect(await served(port, { servername: "a.example" })).toBe(fingerprint(renewed));
  });

  test("that was never good leaves the default certificate", async () => {
    const contexts = makeContexts();
    expect(contexts.publish(tableOf({ "a.example": [broken()] }))).toHaveLength(1);
    const port = await serve(contexts);
    expect(await served(port, { servername: "a.example" })).toBe(fingerprint(selfSigned));
  });

  test("beside a good one of another key type leaves the good one", async () => {
    const contexts = makeContexts();
    contexts.publish(tableOf({ "a.example": [broken(), ec] }));
    const port = await serve(contexts);
    expect(await served(port, { servername: "a.example" })).toBe(fingerprint(ec));
  });

  test("as the configured default leaves the last good default, or the self-signed one", async () => {
    const contexts = makeContexts();
    const port = await serve(contexts);
    contexts.publish(tableOf({}, broken()));
    expect(await served(port)).toBe(fingerprint(selfSigned));
    contexts.publish(tableOf({}, rsa));
    contexts.publish(tableOf({}, broken()));
    expect(await served(port)).toBe(fingerprint(rsa));
  });

  test.each(["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])(
    "whose chain is %j does not throw",
    (chain) => {
      const contexts = makeContexts();
      expect(contexts.publish(tableOf({ "a.example": [{ ...rsa, id: "x", chain }] }))).toHaveLength(1);
    },
  );
});

describe("protocols and ciphers", () => {
  test("TLS 1.2 and 1.3 are spoken, 1.1 is not", async () => {
    const port = await serve(makeContexts());
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const socket = await handshake(port, { minVersion: version, maxVersion: version });
      expect(socket.getProtocol()).toBe(version);
    }
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await expect(handshake(port, old)).rejects.toThrow();
  });

  test("a cipher with CBC or static RSA is refused", async () => {
    const port = await serve(makeContexts());
    for (const ciphers of ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA"]) {
      await expect(handshake(port, { maxVersion: "TLSv1.2", ciphers })).rejects.toThrow();
    }
  });

  test("the server's order of ciphers counts", async () => {
    const port = await serve(makeContexts());
    const ciphers = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256";
    const socket = await handshake(port, { maxVersion: "TLSv1.2", ciphers });
    expect(socket.getCipher().name).toBe("ECDHE-RSA-AES128-GCM-SHA256");
  });

  test("http/1.1 is agreed on by ALPN; a client that insists on another protocol is refused", async () => {
    const port = await serve(makeContexts());
    const socket = await handshake(port, { ALPNProtocols: ["h2", "http/1.1"] });
    expect(socket.alpnProtocol).toBe("http/1.1");
    await expect(handshake(port, { ALPNProtocols: ["h2"] })).rejects.toThrow(/no application protocol/i);
  });
});

describe("a session", () => {
  async function session(port: number, servername: string): Promise<Buffer> {
    const socket = await handshake(port, { servername, maxVersion: "TLSv1.2" });
    const ticket = socket.getSession();
    socket.destroy();
    return ticket!;
  }
  async function isResumed(port: number, servername: string, ticket: Buffer): Promise<boolean> {
    const socket = await handshake(port, { servername, maxVersion: "TLSv1.2", session: ticket });
    return socket.isSessionReused();
  }

  test("is resumed also after a new table, until the ticket keys are rotated", async () => {
    const contexts = makeContexts();
    contexts.publish(tableOf({ "a.example": [rsa] }));
    const port = await serve(contexts);
    const ticket = await session(port, "a.example");
    contexts.publish(tableOf({ "a.example": [rsa], "b.example": [ec] }));
    expect(await isResumed(port, "a.example", ticket)).toBe(true);
    contexts.rotateTicketKeys();
    expect(await isResumed(port, "a.example", ticket)).toBe(false);
    expect(await served(port, { servername: "a.example" })).toBe(fingerprint(rsa));
  });

  test("of one host is not resumed for another", async () => {
    const contexts = makeContexts();
    contexts.publish(tableOf({ "a.example": [rsa], "b.example": [ec] }));
    const port = await serve(contexts);
    expect(await isResumed(port, "b.example", await session(port, "a.example"))).toBe(false);
  });
});

test("there is no SNI callback while no host has a certificate", () => {
  const contexts = makeContexts();
  expect(contexts.serverOptions.SNICallback).toBeUndefined();
  contexts.publish(tableOf({ "a.example": [] }, rsa));
  expect(contexts.serverOptions.SNICallback).toBeUndefined();
  contexts.publish(tableOf({ "a.example": [ec] }, rsa));
  expect(contexts.serverOptions.SNICallback).toBeTypeOf("function");
});
