import { describe, expect, test } from "vitest";
import { hostProblem, isDnsLabel, isPortName } from "../../src/controller/names.ts";
import { nearestName } from "../../src/controller/suggest.ts";

describe("hosts", () => {
  test.each([
    "a",
    "a.example",
    "*.a.example",
    "*.a",
    "xn--bcher-kva.example",
    "1.example",
    "1.2.3.4.5",
    `${"a".repeat(63)}.b`,
  ])("%s is valid", (host) => {
    expect(hostProblem(host)).toBeNull();
  });

  test.each([
    ["a.example:80", "has a port"],
    ["a.example:", "has a port"],
    ["10.0.0.1", "is an IP address"],
    ["::1", "is an IP address"],
    ["[::1]:80", "is an IP address"],
    ["a.example.", "ends in a dot"],
    ["a.*.example", `has a "*" that is not its whole first label`],
    ["*a.example", `has a "*" that is not its whole first label`],
    ["*.*.example", `has a "*" that is not its whole first label`],
    ["*", `has a "*" that is not its whole first label`],
    ["*.", "ends in a dot"],
    ["a_b.example", "is not a DNS name"],
    ["-a.example", "is not a DNS name"],
    ["a..example", "is not a DNS name"],
    ["http://a.example", "is not a DNS name"],
    ["a.example/path", "is not a DNS name"],
    ["bücher.example", "is not a DNS name"],
    [`${"a".repeat(64)}.b`, "has a label longer than 63 characters"],
    [`${"a.".repeat(127)}a`, "is longer than 253 characters"],
  ])("%s %s", (host, problem) => {
    expect(hostProblem(host)).toBe(problem);
  });
});

test.each([
  ["a", true],
  ["a-1", true],
  ["a".repeat(63), true],
  ["a".repeat(64), false],
  ["-a", false],
  ["a-", false],
  ["A", false],
  ["a.b", false],
  ["", false],
  ["a/b", false],
])("the label %s is valid: %s", (text, expected) => {
  expect(isDnsLabel(text)).toBe(expected);
});

test.each([
  ["http", true],
  ["h2-c", true],
  ["80", false],
  ["a--b", false],
  ["http-name-too-long", false],
  ["", false],
])("the port name %s is valid: %s", (text, expected) => {
  expect(isPortName(text)).toBe(expected);
});

test.each([
  ["canary-wieght", "canary-weight"],
  ["canary-weigth", "canary-weight"],
  ["pathtype", "pathType"],
  ["proxy-read-timeouts", "proxy-read-timeout"],
  ["something-else", null],
  ["x", null],
])("the nearest to %s is %s", (name, expected) => {
  expect(nearestName(name, ["canary-weight", "pathType", "proxy-read-timeout", "proxy-send-timeout"])).toBe(
    expected,
  );
});
