// gRPC: `grpc.health.v1.Health/Check` over HTTP/2 with prior knowledge. SERVING passes.
import { H2CClient, type Dispatcher } from "undici";
import type { HealthCheckSettings } from "../filter.ts";
import { originOf, probeFields, responseHeadMaxBytes, withClient } from "./client.ts";
import { encodeHealthRequest, readHealthResponse, servingStatusText } from "./grpc-message.ts";
import { describeProbe, failed, outcomeOf, passed, type ProbeOutcome, type ProbeTarget } from "./probe.ts";

/** A response has seven bytes. */
const contentMaxBytes = 1024;
const serving = 1;

/** Those that health services answer with. */
const grpcStatusTexts: ReadonlyMap<string, string> = new Map([
  ["5", "NOT_FOUND: the server does not know the service"],
  ["7", "PERMISSION_DENIED"],
  ["12", "UNIMPLEMENTED: the server has no health service"],
  ["14", "UNAVAILABLE"],
  ["16", "UNAUTHENTICATED"],
]);

export async function probeGrpc(
  target: ProbeTarget,
  settings: HealthCheckSettings,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const what = describeProbe(settings);
  const options = { maxConcurrentStreams: 1, pipelining: 1, maxHeaderSize: responseHeadMaxBytes };
  try {
    return await withClient(
      target,
      "h2",
      (connect) =>
        new H2CClient(originOf(target), { ...options, connect, headersTimeout: 0, bodyTimeout: 0 }),
      async (client) => {
        const response = await client.request({
          method: "POST",
          path: "/grpc.health.v1.Health/Check",
          headers: { ...probeFields(settings), "content-type": "application/grpc", te: "trailers" },
          body: encodeHealthRequest(settings.service),
          signal,
        });
        const content = await readContent(response);
        return content === null
          ? failed(`${what} answered with more than ${contentMaxBytes} bytes`)
          : judge(what, response, content);
      },
    );
  } catch (error) {
    return outcomeOf(error, what);
  }
}

function judge(what: string, response: Dispatcher.ResponseData, content: Buffer): ProbeOutcome {
  const { statusCode, headers, trailers } = response;
  const type = String(headers["content-type"] ?? "");
  if (statusCode !== 200 || !/^application\/grpc(?:[+;]|$)/i.test(type)) {
    return failed(
      `${what}: the answer is not gRPC: HTTP status ${statusCode}, ${type === "" ? "no content type" : type.slice(0, 80)}`,
    );
  }
  // Without a message both are in the head.
  const code = String(trailers["grpc-status"] ?? headers["grpc-status"] ?? "");
  if (code !== "0") return failed(`${what}: ${statusWords(code)}`);
  const status = readHealthResponse(content);
  if (status === serving) return passed;
  const words = status === null ? "the answer is not a HealthCheckResponse" : servingStatusText(status);
  return failed(`${what}: ${words}, expected SERVING`);
}

function statusWords(code: string): string {
  if (code === "") return "the answer has no gRPC status";
  const text = grpcStatusTexts.get(code);
  return `gRPC status ${/^\d{1,3}$/.test(code) ? code : "?"}${text === undefined ? "" : ` ${text}`}`;
}

/** Null: too much. The rest is not read. */
async function readContent({ body }: Dispatcher.ResponseData): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > contentMaxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
