import { expect, test } from "vitest";
import { seeds } from "../effort.ts";
import {
  endpointsTo,
  ok,
  refusingPort,
  startBackend,
  startProxy,
  type Backend,
  type Harness,
} from "./harness.ts";
import type { Peer } from "./peer.ts";

type Random = (below: number) => number;

function generator(seed: number): Random {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise(setImmediate);
}

/** Answers well, badly, in part, too early, or not at all. */
function misbehave(backend: Backend, random: Random): void {
  const serve = async (peer: Peer): Promise<void> => {
    for (;;) {
      const request = await (random(4) === 0 ? peer.headOnly() : peer.request());
      await turns(random(4));
      const content = "x".repeat([0, 10, 5_000, 300_000][random(4)]!);
      switch (random(12)) {
        case 0:
          peer.reset();
          return;
        case 1:
          peer.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
          return;
        case 2:
          peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
          await turns(3);
          peer.reset();
          return;
        case 3:
          peer.write(ok(content) + ok("poison"));
          break;
        case 4:
          peer.end(`HTTP/1.1 200 OK\r\n\r\n${content}`);
          return;
        case 5:
          peer.write("nonsense\r\n\r\n");
          break;
        case 6:
          if (request.field("upgrade") !== undefined) {
            peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello");
            await turns(random(6));
            if (random(2) === 0) peer.end("bye");
            else peer.reset();
            return;
          }
          peer.write("HTTP/1.1 103 Hints\r\n\r\n" + ok(content));
          break;
        default:
          peer.write(ok(content, random(5) === 0 ? "Connection: close\r\n" : ""));
      }
    }
  };
  void (async () => {
    for (;;) void serve(await backend.connection()).catch(() => undefined);
  })();
}

const requests = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\npart",
  "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly",
  "GET / HTTP/1.0\r\n\r\n",
  "GET / HTTP/1.1\r\nHost",
  "nonsense\r\n\r\n",
  "",
];

/** Sends some of it, reads some of it, and leaves in one way or another. */
async function come(proxy: Harness, random: Random): Promise<void> {
  const client = await (random(4) === 0 ? proxy.tlsClient() : proxy.client());
  client.mayEnd = true;
  if (random(3) === 0) client.socket.pause();
  for (let i = random(4); i >= 0; i -= 1) {
    if (client.isClosed || client.isEnded) break;
    client.write(requests[random(requests.length)]!.repeat(1 + random(3)));
    await turns(random(8));
  }
  if (random(3) === 0) client.end();
  await turns(random(10));
  client.destroy();
}

test.each(seeds(4).map((seed) => seed + 1))(
  "whatever clients and endpoints do, nothing is left over and nothing throws: seed %i",
  async (seed) => {
    const random = generator(seed);
    const backends = [await startBackend(), await startBackend()];
    for (const [i, each] of backends.entries()) misbehave(each, generator(seed * 100 + i));
    const proxy = await startProxy({ backends });
    const ports = [backends[0]!.port, backends[1]!.port, await refusingPort()];
    for (let round = 0; round < 25; round += 1) {
      await Promise.all(Array.from({ length: 8 }, () => come(proxy, random)));
      proxy.proxy.publishEndpoints([endpointsTo(ports.filter(() => random(4) > 0))]);
      proxy.clock.advanceMs(random(400));
    }
    // Whatever still goes on has its timeouts.
    for (let i = 0; i < 8; i += 1) {
      await proxy.settle();
      proxy.clock.advanceMs(30_000);
    }
    await proxy.until(
      "every client is gone",
      () => proxy.gauges["http"] === 0 && proxy.gauges["https"] === 0,
    );
    expect(proxy.gauges["upstreamActive"]).toBe(0);
    // It still works.
    const backend = await startBackend();
    backend.answer(() => ok("well"));
    proxy.proxy.publishEndpoints([endpointsTo([backend.port])]);
    expect((await proxy.roundTrip(requests[0]!)).content.toString()).toBe("well");
  },
);
