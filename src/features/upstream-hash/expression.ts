// Texts with variables as nginx writes them (`$request_uri`, `${arg_user}-suffix`), for those variables that the proxy
// knows.
import type { HashPart } from "../../proxy/filter.ts";

const variables: ReadonlyMap<string, HashPart> = new Map<string, HashPart>([
  ["request_uri", { kind: "target" }],
  ["uri", { kind: "path" }],
  ["document_uri", { kind: "path" }],
  ["args", { kind: "query" }],
  ["query_string", { kind: "query" }],
  ["remote_addr", { kind: "clientAddress" }],
  ["binary_remote_addr", { kind: "clientAddress" }],
  ["host", { kind: "host" }],
  ["scheme", { kind: "scheme" }],
  ["request_method", { kind: "method" }],
]);

/** The parts; or in words why there are none. */
export function parseExpression(text: string): readonly HashPart[] | string {
  const parts: HashPart[] = [];
  const pattern = /\$(?:\{(\w*)\}|(\w*))/g;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    addText(parts, text.slice(end, match.index));
    end = match.index + match[0].length;
    const name = match[1] ?? match[2] ?? "";
    if (name === "") return 'a "$" is followed by no name of a variable';
    const part = variableOf(name);
    if (part === null) return `Fairway has no variable $${name}`;
    parts.push(part);
  }
  addText(parts, text.slice(end));
  return parts;
}

function addText(parts: HashPart[], text: string): void {
  if (text !== "") parts.push({ kind: "text", text });
}

function variableOf(name: string): HashPart | null {
  const fixed = variables.get(name);
  if (fixed !== undefined) return fixed;
  const [, prefix, rest = ""] = /^(http|arg|cookie)_(\w+)$/.exec(name) ?? [];
  switch (prefix) {
    case "http":
      return { kind: "field", name: rest.toLowerCase().replaceAll("_", "-") };
    case "arg":
      return { kind: "argument", name: rest.toLowerCase() };
    case "cookie":
      return { kind: "cookie", name: rest };
    default:
      return null;
  }
}
