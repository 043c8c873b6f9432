import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { seeds } from "../effort.ts";
import { irTo, startBackend, startProxy } from "./harness.ts";
import type { Message } from "./peer.ts";

/** Small numbers that look random and are the same in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const sizes = [0, 1, 2, 100, 4_096, 4_097, 16_384, 70_000, 200_000];

function body(framing: number, content: string): string {
  if (framing === 0) return `Content-Length: ${content.length}\r\n\r\n${content}`;
  let text = "Transfer-Encoding: chunked\r\n\r\n";
  for (let at = 0, size = 1; at < content.length; at += size, size = (size * 5 + 1) % 30_000) {
    const piece = content.slice(at, at + size);
    text += `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  return `${text}0\r\n\r\n`;
}

const digest = (content: Buffer | string): string => createHash("sha1").update(content).digest("hex");

/** Writes `text` in pieces, some of them in turns of their own. */
async function writeInPieces(
  write: (piece: string) => void,
  text: string,
  random: (below: number) => number,
): Promise<void> {
  for (let at = 0; at < text.length;) {
    const size = [1, 2, 3, 17, 300, 5_000, 66_000, 150_000][random(8)]!;
    write(text.slice(at, at + size));
    at += size;
    if (random(3) === 0) await new Promise(setImmediate);
  }
}

test.each(seeds(24).map((seed) => [seed]))(
  "pipelined requests and their responses survive being cut anywhere: seed %i",
  async (seed) => {
    const random = generator(seed + 1);
    const backend = await startBackend();
    const proxy = await startProxy({ ir: irTo([backend], [], "a") });
    // The answer tells what came, has content of its own, and is written in pieces.
    const answers = generator(seed + 1000);
    const serve = async (): Promise<void> => {
      for (;;) {
        const peer = await backend.connection();
        void (async () => {
          for (;;) {
            const request = await peer.request();
            const content = "r".repeat(sizes[answers(sizes.length)]!);
            const isLast = answers(8) === 0;
            const head =
              `HTTP/1.1 200 OK\r\nX-Request: ${request.startLine.split(" ")[1]} ${digest(request.content)}\r\n` +
              `X-Content: ${digest(content)}\r\n${isLast ? "Connection: close\r\n" : ""}`;
            const isBare = request.startLine.startsWith("HEAD");
            const text = isBare ? `${head}Content-Length: 7\r\n\r\n` : head + body(answers(2), content);
            await writeInPieces((piece) => peer.write(piece), text, answers);
            if (isLast) {
              peer.end();
              return;
            }
          }
        })().catch(() => undefined);
      }
    };
    void serve();
    const client = await (seed % 3 === 0 ? proxy.tlsClient() : proxy.client());
    const expected: { method: string; host: string; mark: string }[] = [];
    let text = "";
    for (let i = 0; i < 30; i += 1) {
      const method = ["GET", "HEAD", "POST", "PUT"][random(4)]!;
      const host = random(6) === 0 ? "none" : "a";
      // What is not forwarded is skipped only when it is little and its length is known.
      const size = host === "none" ? random(5_000) : sizes[random(sizes.length)]!;
      const hasContent = method.startsWith("P");
      const content = hasContent ? "q".repeat(size) : "";
      const framing = host === "none" ? 0 : random(2);
      text += `${method} /${i} HTTP/1.1\r\nHost: ${host}\r\n${hasContent ? body(framing, content) : "\r\n"}`;
      expected.push({ method, host, mark: `/${i} ${digest(content)}` });
    }
    const written = writeInPieces((piece) => client.write(piece), text, random);
    for (const { method, host, mark } of expected) {
      const response: Message = await client.response(method);
      expect(response.status).toBe(host === "none" ? 404 : 200);
      if (host === "none") continue;
      expect(response.field("x-request")).toBe(mark);
      if (method !== "HEAD") expect(digest(response.content)).toBe(response.field("x-content"));
    }
    await written;
    expect(client.unread).toBe("");
    expect(client.isEnded).toBe(false);
  },
);
