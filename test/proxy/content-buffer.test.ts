import { describe, expect, test } from "vitest";
import { ContentBuffer, ContentBuffers } from "../../src/proxy/content-buffer.ts";

function joined(buffer: ContentBuffer): string {
  return Buffer.concat([...buffer.pieces]).toString("latin1");
}

describe("kept content", () => {
  test("is a copy: the memory it came in is used again", () => {
    const buffer = new ContentBuffer(new ContentBuffers(100));
    const shared = Buffer.from("abcdef");
    buffer.append(shared, 1, 3);
    shared.fill("x");
    buffer.append(shared, 0, 1);
    shared.fill("y");
    expect(joined(buffer)).toBe("bcx");
  });

  test("that comes in drops needs few pieces", () => {
    const total = new ContentBuffers(1_000_000);
    const buffer = new ContentBuffer(total);
    let expected = "";
    for (let i = 0; i < 20_000; i += 1) {
      const drop = Buffer.from(String(i));
      expected += String(i);
      buffer.append(drop, 0, drop.length);
    }
    expect(joined(buffer)).toBe(expected);
    expect(buffer.pieces.length).toBeLessThan(expected.length / 4096 + 3);
    expect([buffer.bytes, total.bytes]).toEqual([expected.length, expected.length]);
  });

  test("is taken piece by piece, and a piece that was taken stays as it is", () => {
    const total = new ContentBuffers(1_000_000);
    const buffer = new ContentBuffer(total);
    const add = (text: string): void => buffer.append(Buffer.from(text), 0, text.length);
    for (const each of ["first", "second", "third"]) add(each);
    expect(buffer.shift()?.toString()).toBe("first");
    const taken = buffer.shift();
    expect([buffer.bytes, total.bytes, buffer.shift()]).toEqual([0, 0, undefined]);
    for (const each of ["fourth", "fifth"]) add(each);
    expect([taken?.toString(), joined(buffer), total.bytes]).toEqual(["secondthird", "fourthfifth", 11]);
    buffer.clear();
    expect([buffer.bytes, total.bytes, buffer.pieces.length]).toEqual([0, 0, 0]);
  });

  test("of any sizes is kept in order", () => {
    const buffer = new ContentBuffer(new ContentBuffers(1_000_000));
    let expected = "";
    for (const [i, size] of [10, 5_000, 1, 4_096, 4_095, 3, 70_000, 2, 4_000, 200].entries()) {
      const text = String.fromCharCode(97 + i).repeat(size);
      expected += text;
      buffer.append(Buffer.from(`..${text}..`), 2, size + 2);
    }
    expect(joined(buffer)).toBe(expected);
  });
});
