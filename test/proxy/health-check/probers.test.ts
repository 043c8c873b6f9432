// Probes against real sockets.
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import net, { type AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { HealthCheckSettings } from "../../../src/proxy/filter.ts";
import { ProbeTimeout, type ProbeOutcome } from "../../../src/proxy/health-check/probe.ts";
import { systemProber } from "../../../src/proxy/health-check/probers.ts";
import { refusingPort } from "../harness.ts";
import { httpCheck } from "./checks-harness.ts";

/** On loopback, until the test is over; `closed` resolves when no connection is left. */
async function listen(server: net.Server): Promise<{ port: number; closed: () => Promise<void> }> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    socket.on("error", () => undefined);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const closed = async (): Promise<void> => {
    // Not `once`, which rejects when the connection was reset.
    for (const socket of sockets) await new Promise((resolve) => socket.once("close", resolve));
  };
  return { port: (server.address() as AddressInfo).port, closed };
}

function probe(
  port: number,
  settings: Partial<HealthCheckSettings> = {},
  signal = new AbortController().signal,
): Promise<ProbeOutcome> {
  return systemProber({ address: "127.0.0.1", port }, { ...httpCheck, ...settings }, signal);
}

/** Ends the probe as its time out does, as soon as `started` resolves. */
async function timedOut(
  started: Promise<unknown>,
  port: number,
  settings: Partial<HealthCheckSettings> = {},
): Promise<ProbeOutcome> {
  const controller = new AbortController();
  const outcome = probe(port, settings, controller.signal);
  await started;
  controller.abort(new ProbeTimeout(2_000));
  return outcome;
}

/** Answers raw text to whatever comes. */
function answering(text: string, ends = false): Promise<{ port: number; closed: () => Promise<void> }> {
  return listen(
    net.createServer((socket) => {
      socket.once("data", () => (ends ? socket.end(text) : socket.write(text)));
    }),
  );
}

describe("an HTTP probe", () => {
  test("is one GET with its own connection, and says who it is", async () => {
    const seen: http.IncomingMessage[] = [];
    const { port, closed } = await listen(
      http.createServer((request, response) => {
        seen.push(request);
        response.end("ok");
      }),
    );
    expect(await probe(port, { path: "/healthz?deep=1" })).toEqual({ result: "passed", words: "" });
    await closed();
    expect(await probe(port, { host: "shop.example" })).toEqual({ result: "passed", words: "" });
    await closed();
    expect(seen.map(({ method, url, headers }) => [method, url, headers])).toEqual([
      [
        "GET",
        "/healthz?deep=1",
        { host: `127.0.0.1:${port}`, connection: "close", "user-agent": "fairway-health-check" },
      ],
      [
        "GET",
        "/healthz",
        { host: "shop.example", connection: "close", "user-agent": "fairway-health-check" },
      ],
    ]);
  });

  test.each([
    [200, true],
    [399, true],
    [302, true],
    [400, false],
    [503, false],
  ])("by default takes %i for passed: %s", async (status, isPassed) => {
    const { port } = await answering(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`);
    const words = isPassed ? "" : `GET /healthz answered ${status}, expected 200-399`;
    expect(await probe(port)).toEqual({ result: isPassed ? "passed" : "failed", words });
  });

  test("takes the statuses that are asked for", async () => {
    const { port } = await answering("HTTP/1.1 204 X\r\n\r\n");
    const statuses = [
      { first: 200, last: 200 },
      { first: 204, last: 206 },
    ];
    expect((await probe(port, { statuses })).result).toBe("passed");
    const words = "GET /healthz on port 81 answered 204, expected 200";
    expect(await probe(port, { statuses: statuses.slice(0, 1), port: 81 })).toMatchObject({ words });
  });

  test("follows no redirection", async () => {
    const elsewhere = http.createServer((_, response) => response.end());
    let isAsked = false;
    elsewhere.on("request", () => (isAsked = true));
    const { port: target } = await listen(elsewhere);
    const location = `Location: http://127.0.0.1:${target}/\r\n`;
    const { port, closed } = await answering(`HTTP/1.1 302 X\r\n${location}Content-Length: 0\r\n\r\n`);
    expect((await probe(port)).result).toBe("passed");
    await closed();
    expect(isAsked).toBe(false);
  });

  test("reads no more of the content than a little, and cuts the connection", async () => {
    let sent = 0;
    const { port, closed } = await listen(
      http.createServer((_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536;
        };
        response.on("drain", more);
        more();
      }),
    );
    expect((await probe(port)).result).toBe("passed");
    await closed();
    // What fits into the buffers of two sockets.
    expect(sent).toBeLessThan(32 * 1024 * 1024);
  });

  test("passes by its head, also when the content breaks off", async () => {
    const { port, closed } = await answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx", true);
    expect(await probe(port)).toEqual({ result: "passed", words: "" });
    await closed();
  });

  test("fails when nothing is answered in time", async () => {
    const server = http.createServer(() => undefined);
    const { port, closed } = await listen(server);
    expect(await timedOut(once(server, "request"), port)).toEqual({
      result: "timeout",
      words: "GET /healthz: no answer within 2 s",
    });
    await closed();
  });

  test.each([
    ["garbage", "garbage\r\n\r\n", "failed"],
    ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}`, "failed"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "failed"],
    ["HTTP/2 frames", "\0\0\u0006\u0004\0\0\0\0\0\0\u0004\0\0\u00ff\u00ff", "failed"],
    ["nothing before the end", "", "failed"],
    ["half a head before the end", "HTTP/1.1 200 OK\r\nX: 1", "failed"],
  ])("fails with words on %s", async (_, text, result) => {
    const { port, closed } = await answering(text, true);
    const outcome = await probe(port);
    expect(outcome.result).toBe(result);
    expect(outcome.words).toMatch(/^GET \/healthz failed: .{5,200}$/);
    await closed();
  });

  test("fails with the code of the system when it cannot connect", async () => {
    expect(await probe(await refusingPort())).toEqual({
      result: "unreachable",
      words: "GET /healthz: could not connect: ECONNREFUSED",
    });
  });
});

describe("a TCP probe", () => {
  test("passes with a connection, and closes it", async () => {
    const server = net.createServer();
    const { port, closed } = await listen(server);
    expect(await probe(port, { kind: "tcp" })).toEqual({ result: "passed", words: "" });
    await closed();
  });

  test("fails without one", async () => {
    expect(await probe(await refusingPort(), { kind: "tcp" })).toEqual({
      result: "unreachable",
      words: "TCP connection: could not connect: ECONNREFUSED",
    });
  });

  test("ends while it connects", async () => {
    const controller = new AbortController();
    controller.abort(new ProbeTimeout(1_000));
    // The first look at the signal is after the socket was made.
    const outcome = probe(1, { kind: "tcp" }, controller.signal);
    expect((await outcome).result).not.toBe("passed");
  });
});

/** Serves `grpc.health.v1` as `answer` says: bytes of the message, or a status without one. */
async function grpcServer(answer: (stream: http2.ServerHttp2Stream) => void) {
  const requests: { headers: http2.IncomingHttpHeaders; content: string }[] = [];
  const server = http2.createServer();
  server.on("session", (session) => session.on("error", () => undefined));
  server.on("stream", (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    const chunks: Buffer[] = [];
    stream.on("error", () => undefined);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      requests.push({ headers, content: Buffer.concat(chunks).toString("hex") });
      answer(stream);
    });
  });
  const { port, closed } = await listen(server);
  return { port, closed, requests };
}

function answerWith(message: readonly number[], status = "0"): (stream: http2.ServerHttp2Stream) => void {
  return (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
    stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
  };
}

function headOnly(fields: http2.OutgoingHttpHeaders): (stream: http2.ServerHttp2Stream) => void {
  return (stream) => stream.respond({ ":status": 200, ...fields }, { endStream: true });
}

describe("a gRPC probe", () => {
  test("passes when the server is serving", async () => {
    const { port, closed, requests } = await grpcServer(answerWith([8, 1]));
    expect(await probe(port, { kind: "grpc" })).toEqual({ result: "passed", words: "" });
    await closed();
    expect(requests).toMatchObject([
      {
        headers: {
          ":method": "POST",
          ":path": "/grpc.health.v1.Health/Check",
          ":authority": `127.0.0.1:${port}`,
          "content-type": "application/grpc",
          te: "trailers",
        },
        content: "0000000000",
      },
    ]);
  });

  test("asks about a service", async () => {
    const { port, requests } = await grpcServer(answerWith([8, 2]));
    const service = "s".repeat(200);
    const outcome = await probe(port, { kind: "grpc", service, host: "api.example" });
    expect(outcome.words).toBe(`gRPC health check of ${service}: NOT_SERVING, expected SERVING`);
    expect(requests[0]?.headers[":authority"]).toBe("api.example");
    // Length 203, field 1, length 200 as a varint of two bytes.
    expect(requests[0]?.content).toBe(`00000000cb0ac801${"73".repeat(200)}`);
  });

  test.each([
    ["NOT_SERVING", answerWith([8, 2]), "NOT_SERVING, expected SERVING"],
    ["UNKNOWN, which is an empty message", answerWith([]), "UNKNOWN, expected SERVING"],
    ["SERVICE_UNKNOWN", answerWith([8, 3]), "SERVICE_UNKNOWN, expected SERVING"],
    ["a status nobody knows", answerWith([8, 9]), "status 9, expected SERVING"],
    ["another message", answerWith([10, 1, 1]), "the answer is not a HealthCheckResponse, expected SERVING"],
    ["SERVING with a status that is not OK", answerWith([8, 1], "14"), "gRPC status 14 UNAVAILABLE"],
    [
      "a service that is not there",
      headOnly({ "content-type": "application/grpc", "grpc-status": "5" }),
      "gRPC status 5 NOT_FOUND: the server does not know the service",
    ],
    [
      "no health service",
      headOnly({ "content-type": "application/grpc+proto", "grpc-status": "12" }),
      "gRPC status 12 UNIMPLEMENTED: the server has no health service",
    ],
    ["no gRPC status", headOnly({ "content-type": "application/grpc" }), "the answer has no gRPC status"],
    [
      "what is not gRPC",
      headOnly({ ":status": 404, "content-type": "text/html" }),
      "the answer is not gRPC: HTTP status 404, text/html",
    ],
  ])("fails on %s", async (_, answer, words) => {
    const { port, closed } = await grpcServer(answer);
    expect(await probe(port, { kind: "grpc" })).toEqual({
      result: "failed",
      words: `gRPC health check: ${words}`,
    });
    await closed();
  });

  test("fails on more content than a health response has", async () => {
    const { port, closed } = await grpcServer((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.end(Buffer.alloc(100_000));
    });
    const words = "gRPC health check answered with more than 1024 bytes";
    expect(await probe(port, { kind: "grpc" })).toEqual({ result: "failed", words });
    await closed();
  });

  test("fails when nothing is answered in time, before and after the request", async () => {
    const silent = net.createServer();
    const { port, closed } = await listen(silent);
    const words = "gRPC health check: no answer within 2 s";
    const connected = once(silent, "connection");
    expect(await timedOut(connected, port, { kind: "grpc" })).toEqual({ result: "timeout", words });
    await closed();
    const asked = Promise.withResolvers<void>();
    const server = await grpcServer(() => asked.resolve());
    const outcome = await timedOut(asked.promise, server.port, { kind: "grpc" });
    expect(outcome).toEqual({ result: "timeout", words });
    await server.closed();
  });

  test("fails on a server of HTTP/1.1, and on garbage", async () => {
    const { port, closed } = await answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", true);
    const outcome = await probe(port, { kind: "grpc" });
    expect(outcome).toMatchObject({
      result: "failed",
      words: expect.stringMatching(/^gRPC health check failed/),
    });
    await closed();
    expect(await probe(await refusingPort(), { kind: "grpc" })).toMatchObject({ result: "unreachable" });
  });
});
