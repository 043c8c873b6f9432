import { describe, expect, test } from "vitest";
import { FileState } from "../../../src/controller/sources/file-state.ts";
import { portOf, service } from "./event-log.ts";

/** Names and ports of what the file contributes, and whether a loss is pending. */
function summary(file: FileState): { served: string[]; held: string[]; isPending: boolean } {
  const describeAll = (entries: FileState["entries"]): string[] =>
    [...entries.values()].map((entry) => `${entry.object.meta.name}:${portOf(entry.object) ?? "?"}`);
  return { served: describeAll(file.entries), held: describeAll(file.held), isPending: file.hasPendingLoss };
}

function fileWith(text: string, path = "a.yaml"): FileState {
  const file = new FileState(path);
  file.update(text);
  return file;
}

const two = `${service("a")}---\n${service("b")}`;

describe("new content", () => {
  test.each([
    ["an added document", `${two}---\n${service("c")}`, ["a:80", "b:80", "c:80"], [], false],
    ["a changed document", `${service("a", 81)}---\n${service("b")}`, ["a:81", "b:80"], [], false],
    ["a removed document", service("b"), ["b:80"], ["a:80"], true],
    ["an empty file", "", [], ["a:80", "b:80"], true],
    ["comments only", "# gone\n", [], ["a:80", "b:80"], true],
    ["a last document that breaks off", two.slice(0, -"    - port: 80\n".length), ["a:80", "b:80"], [], true],
    ["a last document that breaks off inside a line", two.slice(0, -2), ["a:80", "b:80"], [], true],
    ["a longer last document without final newline", `${two.trimEnd()}81`, ["a:80", "b:8081"], [], false],
    [
      "a shorter document that is not the last",
      `${service("a", 8)}---\n${service("b")}`,
      ["a:8", "b:80"],
      [],
      false,
    ],
  ])("%s", (_name, text, served, held, isPending) => {
    const file = fileWith(two);
    expect(file.update(text)).toBe(true);
    expect(summary(file)).toEqual({ served, held, isPending });
  });

  test("seen at any moment of its writing shows no object in a state that was never meant", () => {
    const rest = `---\n${service("c")}---\n${service("d")}`;
    const before = `# one\n${service("a")}    - port: 81\n---\n${service("b")}${rest}`;
    const after = `# two, and more\n${service("a", 90)}    - port: 81\n---\n${service("bb")}${rest}`;
    const meant = new Set<string>();
    for (const text of [before, after]) {
      for (const entry of fileWith(text).entries.values()) meant.add(JSON.stringify(entry.object));
    }
    for (let end = 0; end < after.length; end += 1) {
      const file = fileWith(before);
      file.update(after.slice(0, end));
      const served = new Map([...file.held, ...file.entries]);
      expect([...served.keys()]).toEqual(
        expect.arrayContaining(["a", "b", "c", "d"].map((n) => `Service/default/${n}`)),
      );
      for (const entry of served.values()) expect(meant).toContain(JSON.stringify(entry.object));
      file.update(after);
      file.believeLoss();
      expect(file.entries).toEqual(fileWith(after).entries);
      expect(file.diagnostics).toEqual([]);
    }
  });

  test("is believed as it is when nothing follows", () => {
    const file = fileWith(two);
    file.update(service("b", 8).trimEnd());
    expect(summary(file)).toEqual({ served: ["b:80"], held: ["a:80"], isPending: true });
    file.believeLoss();
    expect(summary(file)).toEqual({ served: ["b:8"], held: [], isPending: false });
  });

  test("equal to the old is no change, and the objects stay the very same", () => {
    const file = fileWith(two);
    const before = file.entries.get("Service/default/b")?.object;
    expect(file.update(two)).toBe(false);
    file.update(`${service("a", 81)}---\n${service("b")}`);
    expect(file.entries.get("Service/default/b")?.object).toBe(before);
  });

  test("that does not parse keeps everything, what was held too", () => {
    const file = fileWith(two);
    file.update(service("b"));
    file.update(`${service("b")}  x: [`);
    expect(summary(file)).toEqual({ served: ["a:80", "b:80"], held: [], isPending: false });
    expect(file.diagnostics).toMatchObject([{ reason: "InvalidManifest" }]);
  });

  test("that does not parse and never did contributes nothing", () => {
    const file = fileWith("a: b: c");
    expect(summary(file).served).toEqual([]);
    expect(file.diagnostics[0]?.message).toMatch(/; the file is ignored$/);
  });

  test("of JSON needs no final newline: a part of it does not parse", () => {
    const json = (ports: string): string =>
      `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[${ports}]}}`;
    const file = fileWith(json('{"port":80},{"port":81}'), "a.json");
    file.update(json('{"port":82}'));
    expect(summary(file)).toEqual({ served: ["a:82"], held: [], isPending: false });
  });
});

describe("what does not parse is named with its line", () => {
  test.each([
    ["a.yaml", "a: 1\nb: [\n", "line 3"],
    ["a.yaml", "a: 1\na: 2\n", "line 2"],
    ["a.yaml", `${service("a")}---\nkind: x\n\tb: 1\n`, "line 10"],
    ["a.yaml", "a: *nowhere\n", "line 1"],
    ["a.yaml", `a: "secret text\nmore secret text\n`, "line 3"],
    ["a.json", '{\n  "a": 1,\n}', "line 3"],
    ["a.json", '{\n  "a": 1,\n  "a": 2\n}', "line 3"],
    ["a.json", '{"a": ', "line 1"],
  ])("%s %j", (path, text, line) => {
    const file = fileWith(text, path);
    expect(file.diagnostics).toMatchObject([{ reason: "InvalidManifest", field: line }]);
    expect(JSON.stringify(file.diagnostics)).not.toContain("secret text");
  });

  test("every document of a new file that does not, beside those that do", () => {
    const file = fileWith(`${service("a")}---\nb: [\n---\n${service("c")}---\nd: 1\nd: 2\n`);
    expect(summary(file).served).toEqual(["a:80", "c:80"]);
    expect(file.diagnostics.map((each) => each.field)).toEqual(["line 10", "line 20"]);
  });

  test("aliases that grow without bound", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 9; i += 1) {
      const alias = Array.from({ length: 10 }, () => `*a${i - 1}`).join(", ");
      lines.push(`a${i}: &a${i} [${alias}]`);
    }
    expect(fileWith(lines.join("\n")).diagnostics).toMatchObject([{ reason: "InvalidManifest" }]);
  });

  test("nesting without bound", () => {
    expect(fileWith("[".repeat(100_000)).diagnostics).toMatchObject([{ reason: "InvalidManifest" }]);
    expect(fileWith(`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, "a.json").diagnostics).toHaveLength(
      1,
    );
  });
});

test.each([
  ["a.json", "items[1]", "items[3].items[0]"],
  ["a.yaml", "line 1, items[1]", "line 1, items[3].items[0]"],
])("what is wrong with an item of a List in %s is named with the item", (path, plain, nested) => {
  const good = { apiVersion: "v1", kind: "Service", metadata: { name: "a" } };
  const nothing = { apiVersion: "v1", kind: "Service" };
  const items = [good, nothing, good, { apiVersion: "v1", kind: "List", items: [{}] }];
  const file = fileWith(JSON.stringify({ apiVersion: "v1", kind: "List", items }), path);
  expect(file.diagnostics).toMatchObject([
    { reason: "MissingField", message: expect.stringContaining(`(${path}, ${plain})`) },
    { reason: "DuplicateObject" },
    { reason: "NotAnObject", field: nested },
  ]);
});

test("one object twice in a file: the first wins", () => {
  const file = fileWith(`${service("a")}---\n${service("a", 81)}`);
  expect(summary(file).served).toEqual(["a:80"]);
  expect(file.diagnostics).toMatchObject([
    { reason: "DuplicateObject", field: "line 9", message: expect.stringContaining("in a.yaml, line 1") },
  ]);
});

test("merge keys, anchors and Windows line ends are read", () => {
  const text = `apiVersion: v1\nkind: List\nitems:\n  - &x\n    apiVersion: v1\n    kind: Service\n    metadata: { name: a }\n    spec: { ports: [{ port: 80 }] }\n  - <<: *x\n    metadata: { name: b }\n`;
  expect(summary(fileWith(text.replaceAll("\n", "\r\n"))).served).toEqual(["a:80", "b:80"]);
});
