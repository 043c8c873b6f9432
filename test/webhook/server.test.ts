// The webhook over TLS: what it answers, what it turns away, and a certificate that changes under it.
import { writeFileSync, mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeCertificate } from "../../certs/make.ts";
import { Admission } from "../../src/cli/admission.ts";
import { Log } from "../../src/cli/log.ts";
import { AdmissionMetrics } from "../../src/metrics/admission-metrics.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { lookEveryMs } from "../../src/webhook/certificate-files.ts";
import { bodyMaxBytes, requestsMax, webhookPath } from "../../src/webhook/server.ts";
import { ingress, rule, service, slice } from "../controller/fake-source.ts";
import { clusterOf, review, type TestCluster } from "../controller/admission/support.ts";

const lines: string[] = [];
const clock = new ManualClock();
let directory = "";
let files = { certificate: "", key: "" };
let cluster: TestCluster;
let metrics: AdmissionMetrics;
let admission: Admission;
let port = 0;
let isReady = true;
let bug: Error | null = null;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "fairway-webhook-"));
  files = { certificate: join(directory, "tls.crt"), key: join(directory, "tls.key") };
  await writePair("first.example");
  lines.length = 0;
  isReady = true;
  bug = null;
  cluster = await clusterOf([service("web"), slice("web-1", "web", ["10.0.0.1"])]);
  metrics = new AdmissionMetrics();
  admission = new Admission({
    values: { host: "127.0.0.1", port: 0, ...files, pathConflicts: "refuse" },
    isReady: () => isReady,
    isWatched: () => true,
    tryOut: (candidate, old) => {
      if (bug !== null) throw bug;
      return cluster.loop.tryOut(candidate, old);
    },
    metrics,
    clock,
    log: new Log({
      level: "info",
      format: "text",
      write: (line) => lines.push(line),
      now: () => new Date(0),
    }),
  });
  port = await admission.start();
});

afterEach(async () => {
  await admission.close();
  rmSync(directory, { recursive: true });
});

async function writePair(name: string): Promise<void> {
  const { chain, key } = await makeCertificate({ names: [name] });
  writeFileSync(files.certificate, chain);
  writeFileSync(files.key, key);
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

async function post(body: string | Buffer, options: https.RequestOptions = {}): Promise<Answer> {
  const request = https.request({
    host: "127.0.0.1",
    port,
    path: `${webhookPath}?timeout=10s`,
    method: "POST",
    rejectUnauthorized: false,
    agent: false,
    headers: { "content-type": "application/json" },
    ...options,
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() };
}

function outcomes(): Record<string, number> {
  const samples = metrics.samplers.admissionReviews?.() ?? [];
  return Object.fromEntries(samples.map(({ labels, value }) => [labels["outcome"] ?? "", value]));
}

const good = ingress("good", { rules: [rule("a.example", { "/": ["web", 80] })] });
const bad = ingress("bad", {}, { "nginx.ingress.kubernetes.io/ssl-redirect": "maybe\u001b[31m" });

describe("answers", () => {
  test("an AdmissionReview with the same uid, allowed or refused with words, and a line for a refusal", async () => {
    const allowed = await post(JSON.stringify(review(good)));
    expect(allowed.status).toBe(200);
    expect(JSON.parse(allowed.body)).toEqual({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: "705ab4f5-6393-11e8-b7cc-42010a800002", allowed: true },
    });
    const refused = JSON.parse((await post(JSON.stringify(review(bad)))).body);
    expect(refused.response).toMatchObject({
      allowed: false,
      status: { code: 400, reason: "BadRequest", message: expect.stringContaining("ssl-redirect") },
    });
    expect(lines.join("")).toMatch(/info: admission: refused CREATE of Ingress default\/bad: .*ssl-redirect/);
    expect(outcomes()).toEqual({ allowed: 1, refused: 1 });
  });

  test("503 before the first table, 500 for a bug, which show nothing of the inside", async () => {
    isReady = false;
    expect((await post(JSON.stringify(review(good)))).status).toBe(503);
    isReady = true;
    bug = new Error("the inside");
    const answer = await post(JSON.stringify(review(good)));
    expect(answer).toEqual({ status: 500, body: "internal error\n" });
    expect(lines.join("")).toContain("the inside");
    expect(outcomes()).toEqual({ not_ready: 1, error: 1 });
  });

  test("warnings are bounded in number and length", async () => {
    const annotations = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [
        `nginx.ingress.kubernetes.io/${"x".repeat(40)}${i}`,
        "ü".repeat(500),
      ]),
    );
    const { body } = await post(JSON.stringify(review(ingress("x", {}, annotations))));
    const { warnings } = JSON.parse(body).response as { warnings: string[] };
    expect(warnings).toHaveLength(13);
    expect(warnings.at(-1)).toContain("and 38 more");
    for (const each of warnings) expect(Buffer.byteLength(each)).toBeLessThanOrEqual(256);
  });

  test("anybody may bring about refusals, but not a flood of lines", async () => {
    for (let i = 0; i < 70; i += 1) admission.answer(review(bad));
    expect(lines.filter((line) => line.includes("refused"))).toHaveLength(60);
    clock.advanceMs(60_000);
    admission.answer(review(bad));
    expect(lines.at(-2)).toContain("10 more lines were left out");
  });
});

describe("turned away", () => {
  test.each<[string, string | Buffer, number]>([
    ["no JSON", "{", 400],
    ["nothing", "", 400],
    ["no UTF-8", Buffer.from([0x22, 0xff, 0x22]), 400],
    ["a list", "[]", 400],
    ["another version", JSON.stringify({ ...review(good), apiVersion: "admission.k8s.io/v1beta1" }), 400],
    ["no request", JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" }), 400],
    ["a uid without end", JSON.stringify(review(good, { request: { uid: "x".repeat(200) } })), 400],
    ["an unknown operation", JSON.stringify(review(good, { request: { operation: "LOAD" } })), 400],
    [
      "an object of another namespace",
      JSON.stringify(review(good, { request: { namespace: "other" } })),
      400,
    ],
    ["an object that is none", JSON.stringify(review(good, { request: { object: "x" } })), 400],
    ["lists within lists", `${"[".repeat(100_000)}${"]".repeat(100_000)}`, 400],
    ["too much", Buffer.alloc(bodyMaxBytes + 1, 0x20), 413],
  ])("%s", async (_, body, status) => {
    expect((await post(body)).status).toBe(status);
    expect(outcomes()).toEqual({ invalid: 1 });
  });

  test("too much without a word about its length", async () => {
    const headers = { "content-type": "application/json", "transfer-encoding": "chunked" };
    expect((await post(Buffer.alloc(bodyMaxBytes + 1, 0x20), { headers })).status).toBe(413);
  });

  test("other paths, methods and types", async () => {
    expect((await post("{}", { path: "/" })).status).toBe(404);
    expect((await post("", { method: "GET" })).status).toBe(405);
    expect((await post("{}", { headers: { "content-type": "text/plain" } })).status).toBe(415);
  });

  test("values that are no annotations, and depth in one, are judged like any other fault", async () => {
    const deep = JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`);
    const hostile = ingress(
      "x",
      { rules: deep, tls: [null, 1, {}], __proto__: 1 },
      { "a/b": deep, __proto__: "x" },
    );
    const answer = JSON.parse((await post(JSON.stringify(review(hostile)))).body);
    expect(answer.response.allowed).toBe(false);
    expect(answer.response.status.message.length).toBeLessThan(3_000);
  });

  test("more requests at once than are read", async () => {
    const waiting = await Promise.all(
      Array.from({ length: requestsMax }, async () => {
        const socket = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
        await once(socket, "secureConnect");
        socket.write(
          `POST ${webhookPath} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
        );
        // The server has begun with it.
        await once(socket, "data");
        return socket;
      }),
    );
    expect(await post(JSON.stringify(review(good)))).toMatchObject({ status: 503 });
    expect(outcomes()).toEqual({ busy: 1 });
    for (const socket of waiting) {
      socket.destroy();
      await once(socket, "close");
    }
  });
});

describe("the certificate", () => {
  test("a new one serves new connections, the old connection goes on, a broken one changes nothing", async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const body = JSON.stringify(review(good));
    expect((await post(body, { agent })).status).toBe(200);
    await writePair("second.example");
    clock.advanceMs(lookEveryMs);
    // Each look is a handshake, which gives the files time to be read.
    while ((await servedName()) !== "second.example") continue;
    expect((await post(body, { agent })).status).toBe(200);
    writeFileSync(files.key, "no key");
    clock.advanceMs(lookEveryMs);
    while (!lines.some((line) => line.includes("no PEM private key"))) await servedName();
    expect(await servedName()).toBe("second.example");
    expect(lines.join("")).not.toContain("PRIVATE KEY");
    agent.destroy();
  });
});

async function servedName(): Promise<string> {
  const socket = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { subjectaltname = "" } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname.replace("DNS:", "");
}
