import { expect, test } from "vitest";
import { readKeepAliveSeconds } from "../../src/proxy/http1/framing-fields.ts";

test.each([
  ["timeout=5", 5],
  ["TIMEOUT=65", 65],
  ["timeout=999999", 999_999],
  ["timeout=1234567", 123_456],
  ["timeout=0", 0],
  ["timeout=5, max=100", 5],
  ["max=100, timeout=7", 7],
  ["timeout=", -1],
  ["timeout:5", -1],
  ["timeout=x", -1],
  ["mytimeout=5", -1],
  ["", -1],
])("Keep-Alive: %s promises %d s", (value, seconds) => {
  const line = `Keep-Alive: ${value}\r\n`;
  expect(readKeepAliveSeconds(line, 12, 12 + value.length)).toBe(seconds);
});
