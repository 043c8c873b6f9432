import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ApiClient } from "../../src/kube-api/client.ts";
import type { Access, Credentials } from "../../src/kube-api/access.ts";
import { ApiError, ApiUnreachable } from "../../src/kube-api/errors.ts";
import { RequestLimit } from "../../src/kube-api/request-limit.ts";
import { LineSplitter } from "../../src/kube-api/lines.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { answer, FakeApi, statusBody } from "./fake-api.ts";

let api: FakeApi;
let directory: string;
const clock = new ManualClock();

beforeEach(async () => {
  api = await FakeApi.start();
  directory = mkdtempSync(path.join(os.tmpdir(), "fairway-client-"));
});

afterEach(async () => {
  await api.close();
  rmSync(directory, { recursive: true });
});

function client(changes: Partial<Access> = {}): ApiClient {
  return new ApiClient({
    access: { ...api.access, ...changes },
    clock,
    limit: null,
    userAgent: "fairway/test",
  });
}

describe("a call", () => {
  test("sends query, body and credentials, and gives the answer's JSON", async () => {
    const result = client({ token: { text: "t0ken" } }).call({
      method: "PATCH",
      path: "/api/v1/things/a",
      query: { fieldManager: "f&g" },
      body: { a: 1 },
      contentType: "application/merge-patch+json",
    });
    const call = await api.next();
    expect([call.method, call.path, call.query.get("fieldManager")]).toEqual([
      "PATCH",
      "/api/v1/things/a",
      "f&g",
    ]);
    expect(call.headers).toMatchObject({
      authorization: "Bearer t0ken",
      "content-type": "application/merge-patch+json",
      "user-agent": "fairway/test",
    });
    answer(call, 200, { ok: true });
    expect(await result).toEqual({ ok: true });
  });

  test("that is refused tells status, reason, message and when to come back", async () => {
    const result = client().call({ path: "/x" });
    answer(await api.next(), 429, statusBody(429, "TooManyRequests", "slow down"), { "retry-after": "3" });
    const error = await result.catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 429,
      reason: "TooManyRequests",
      message: "slow down",
      retryAfterMs: 3000,
    });
  });

  test("that is refused in no known form still tells the status", async () => {
    const result = client().call({ path: "/x" });
    answer(await api.next(), 502, "<html>");
    await expect(result).rejects.toMatchObject({ status: 502, message: "the API server answered 502" });
  });

  test("that is cut is unreachable, and so is an answer that is no JSON", async () => {
    const cut = client().call({ path: "/x" });
    (await api.next()).response.destroy();
    await expect(cut).rejects.toBeInstanceOf(ApiUnreachable);
    const garbage = client().call({ path: "/x" });
    answer(await api.next(), 200, "{");
    await expect(garbage).rejects.toBeInstanceOf(ApiUnreachable);
  });

  test("that nobody answers ends", async () => {
    const result = client().call({ path: "/x", idleMaxMs: 20 });
    await expect(result).rejects.toThrow("no answer for 20 ms");
  });
});

describe("a token file", () => {
  test("is read again when the token is refused, and the call goes on", async () => {
    const file = path.join(directory, "token");
    writeFileSync(file, "one\n");
    const result = client({ token: { file } }).call({ path: "/x" });
    const first = await api.next();
    expect(first.headers.authorization).toBe("Bearer one");
    writeFileSync(file, "two\n");
    answer(first, 401, statusBody(401, "Unauthorized", "Unauthorized"));
    const second = await api.next();
    expect(second.headers.authorization).toBe("Bearer two");
    answer(second, 200, {});
    expect(await result).toEqual({});
  });

  test("is read again after a minute", async () => {
    const file = path.join(directory, "token");
    const from = client({ token: { file } });
    const seen: (string | undefined)[] = [];
    for (const [token, advanceMs] of [
      ["one", 0],
      ["two", 59_999],
      ["two", 1],
    ] as const) {
      writeFileSync(file, token);
      clock.advanceMs(advanceMs);
      const result = from.call({ path: "/x" });
      const call = await api.next();
      seen.push(call.headers.authorization);
      answer(call, 200, {});
      await result;
    }
    expect(seen).toEqual(["Bearer one", "Bearer one", "Bearer two"]);
  });

  test("a second refusal is an answer", async () => {
    const result = client({ token: { text: "t" } }).call({ path: "/x" });
    answer(await api.next(), 401, statusBody(401, "Unauthorized", "no"));
    answer(await api.next(), 401, statusBody(401, "Unauthorized", "no"));
    await expect(result).rejects.toMatchObject({ status: 401 });
  });

  test("that is missing is named", async () => {
    const file = path.join(directory, "none");
    await expect(client({ token: { file } }).call({ path: "/x" })).rejects.toThrow(
      `cannot read ${file} (ENOENT)`,
    );
  });
});

test("a kubeconfig's credentials are sent, and read again when they are refused", async () => {
  const read = (isRefused: boolean): Promise<Credentials> =>
    Promise.resolve({
      headers: { authorization: isRefused ? "Bearer t2" : "Bearer t1", "impersonate-user": "me" },
      ca: null,
      certificate: null,
      key: null,
      agent: null,
    });
  const result = client({ token: null, kubeconfig: { read } }).call({ path: "/x" });
  const first = await api.next();
  expect(first.headers).toMatchObject({ authorization: "Bearer t1", "impersonate-user": "me" });
  answer(first, 401, statusBody(401, "Unauthorized", "no"));
  const second = await api.next();
  expect(second.headers.authorization).toBe("Bearer t2");
  answer(second, 200, {});
  await result;
});

test("lines come as they are written, and one cut short is dropped", async () => {
  const lines = client().lines({ path: "/x" });
  const all: string[] = [];
  const reading = (async () => {
    for await (const some of lines) all.push(...some);
  })();
  const { response } = await api.next();
  response.write('{"a":1}\n{"b"');
  response.write(':"ü"}\n\n');
  response.end('{"c"');
  await reading;
  expect(all).toEqual(['{"a":1}', '{"b":"ü"}']);
});

test("splits lines at every byte", () => {
  const bytes = Buffer.from("añb\ncd\r\n\ne\n");
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const splitter = new LineSplitter(100);
    expect([...splitter.push(bytes.subarray(0, cut)), ...splitter.push(bytes.subarray(cut))]).toEqual([
      "añb",
      "cd",
      "e",
    ]);
  }
  expect(() => new LineSplitter(3).push(Buffer.from("abcd"))).toThrow("longer than 3 bytes");
});

test("requests beyond the burst wait for their turn, in order", async () => {
  const limit = new RequestLimit(10, 2, clock);
  const done: number[] = [];
  const all = [1, 2, 3, 4].map(async (each) => {
    await limit.take();
    done.push(each);
  });
  await all[1];
  expect(done).toEqual([1, 2]);
  clock.advanceMs(100);
  await all[2];
  expect(done).toEqual([1, 2, 3]);
  clock.advanceMs(100);
  await all[3];
  expect(done).toEqual([1, 2, 3, 4]);
});
