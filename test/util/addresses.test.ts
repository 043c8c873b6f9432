import { isIP } from "node:net";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { classifyAddress, formatAddress, parseAddress } from "../../src/util/addresses.ts";

test.each([
  ["10.0.0.1", "10.0.0.1"],
  ["0.0.0.0", "0.0.0.0"],
  ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
  ["2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"],
  ["2001:0:0:1:0:0:1:1", "2001::1:0:0:1:1"],
  ["::", "::"],
  ["1::", "1::"],
  ["::ffff:10.0.0.1", "::ffff:a00:1"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ["1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"],
])("%s is spelled %s", (text, expected) => {
  const bytes = parseAddress(text);
  expect(bytes && formatAddress(bytes)).toBe(expected);
});

test.each([
  "",
  ".",
  "10.0.0",
  "10.0.0.256",
  "010.0.0.1",
  "10.0.0.1.",
  "1.2.3.4.5",
  "0x7f.0.0.1",
  "2130706433",
  " 10.0.0.1",
  ":",
  ":::",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1::2::3",
  "12345::",
  "g::",
  "fe80::1%eth0",
  "[::1]",
  "::1.2.3",
  "1.2.3.4::",
  "1:2:3:4:5:6:7::8",
  ":1:2:3:4:5:6:7:8",
])("%j is no address", (text) => {
  expect(parseAddress(text)).toBeNull();
});

test("the parser accepts what Node's accepts, apart from zones", () => {
  const piece = fc.constantFrom("0", "1", "f", "ffff", "10", "255", "256", ":", "::", ".", "00", "1.2.3.4");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 16 }), (pieces) => {
      const text = pieces.join("");
      expect(parseAddress(text) !== null).toBe(isIP(text) !== 0);
    }),
    { numRuns: 3_000 },
  );
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const bytes = parseAddress(text)!;
      expect(bytes).not.toBeNull();
      expect(parseAddress(formatAddress(bytes))).toEqual(bytes);
    }),
    { numRuns: 1_000 },
  );
});

describe("an endpoint may be on an ordinary address only", () => {
  test.each([
    ["10.0.0.1", "ordinary"],
    ["100.64.0.1", "ordinary"],
    ["fd00::1", "ordinary"],
    ["2001:db8::1", "ordinary"],
    ["::ffff:10.0.0.1", "ordinary"],
    ["127.0.0.1", "loopback"],
    ["127.255.255.254", "loopback"],
    ["::1", "loopback"],
    ["::ffff:127.0.0.1", "loopback"],
    ["169.254.169.254", "link-local"],
    ["::ffff:a9fe:a9fe", "link-local"],
    ["fe80::1", "link-local"],
    ["febf::1", "link-local"],
    ["0.0.0.0", "unspecified"],
    ["0.1.2.3", "unspecified"],
    ["::", "unspecified"],
    ["224.0.0.1", "multicast"],
    ["255.255.255.255", "multicast"],
    ["ff02::1", "multicast"],
    // Other spellings of IPv4, and a metadata service on a unique local address.
    ["::127.0.0.1", "loopback"],
    ["64:ff9b::7f00:1", "loopback"],
    ["64:ff9b::169.254.169.254", "link-local"],
    ["64:ff9b::10.0.0.1", "ordinary"],
    ["fd00:ec2::254", "link-local"],
    ["fd00:ec2::253", "ordinary"],
  ])("%s is %s", (text, expected) => {
    expect(classifyAddress(parseAddress(text)!)).toBe(expected);
  });
});
