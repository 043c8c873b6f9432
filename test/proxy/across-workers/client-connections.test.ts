import { describe, expect, test } from "vitest";
import {
  ClientConnections,
  clientKey,
  makeClientBuffer,
} from "../../../src/proxy/across-workers/client-connections.ts";

function workersWith(slots: number): { first: ClientConnections; second: ClientConnections } {
  const buffer = makeClientBuffer(2, slots, 7);
  return { first: new ClientConnections(buffer, 2, 0), second: new ClientConnections(buffer, 2, 1) };
}

describe("the key of a client", () => {
  test.each([
    ["192.0.2.1", "::ffff:192.0.2.1", true],
    ["192.0.2.1", "192.0.2.2", false],
    ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true],
    ["2001:db8:1:2::1", "2001:db8:1:3::1", false],
    ["fe80::1%eth0", "fe80::2", true],
    ["0.0.0.1", "::1", false],
    ["::", "::1", true],
  ])("%s and %s: the same is %s", (a, b, isSame) => {
    const [first, second] = [clientKey(a), clientKey(b)];
    expect(first.high === second.high && first.low === second.low).toBe(isSame);
  });
});

describe("connections of a client", () => {
  const client = clientKey("192.0.2.1");
  const other = clientKey("2001:db8::1");

  test("are counted together by all workers", () => {
    const { first, second } = workersWith(8);
    expect([first.tryOpen(client, 2), second.tryOpen(client, 2)]).toEqual([true, true]);
    expect([first.tryOpen(client, 2), second.tryOpen(client, 2)]).toEqual([false, false]);
    expect(second.tryOpen(other, 2)).toBe(true);
    first.close(client);
    expect([second.tryOpen(client, 2), first.tryOpen(client, 2)]).toEqual([true, false]);
  });

  test("leave the table with the last one", () => {
    const { first, second } = workersWith(8);
    first.tryOpen(client, 9);
    second.tryOpen(client, 9);
    first.close(client);
    expect(first.size).toBe(1);
    second.close(client);
    expect(first.size).toBe(0);
    second.close(client);
    expect(first.tryOpen(client, 1)).toBe(true);
  });

  test("of a worker that died are gone, those of the others are not", () => {
    const { first, second } = workersWith(8);
    first.tryOpen(client, 2);
    second.tryOpen(client, 2);
    second.tryOpen(other, 1);
    first.clear(1);
    expect(first.size).toBe(1);
    expect([first.tryOpen(client, 2), first.tryOpen(client, 2), first.tryOpen(other, 1)]).toEqual([
      true,
      false,
      true,
    ]);
  });

  test("are refused when there is no room to count them", () => {
    const { first } = workersWith(2);
    expect([1, 2, 3].map((i) => first.tryOpen(clientKey(`192.0.2.${i}`), 9))).toEqual([true, true, false]);
    first.close(clientKey("192.0.2.1"));
    expect(first.tryOpen(clientKey("192.0.2.3"), 9)).toBe(true);
  });

  test("of as many clients as there may be connections have room in a table twice as large", () => {
    const { first } = workersWith(2 * 16_384);
    const clients = Array.from({ length: 16_384 }, (_, i) =>
      clientKey(`2001:db8:${(i >> 8).toString(16)}:${i & 255}::`),
    );
    const keys = new Set(clients.map(({ high, low }) => `${high}/${low}`));
    expect(clients.filter((each) => !first.tryOpen(each, 16_384))).toEqual([]);
    expect(first.size).toBe(keys.size);
    for (const each of clients) first.close(each);
    expect(first.size).toBe(0);
  });
});
