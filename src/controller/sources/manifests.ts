// The text of a manifest file to objects: YAML or JSON, several documents, lists taken apart. Documents that do not
// parse are left out and told of; documents that have not changed since the last parse keep their objects.
import { LineCounter, parseAllDocuments, parseDocument, type Document } from "yaml";
import { decodeObject, type Decoded } from "../decode/decode.ts";
import { isFields } from "../decode/reader.ts";

export interface ManifestEntry {
  readonly decoded: Decoded;
  /** `line 3`, where its document begins; of a List also `items[2]`, in JSON that alone. */
  readonly place: string;
  /** Its document. Entries of one List share it. */
  readonly text: string;
}

export interface ManifestProblem {
  readonly line: number;
  readonly message: string;
}

export interface Manifest {
  readonly entries: readonly ManifestEntry[];
  /** Of each document that does not parse; the entries are those of all others. */
  readonly problems: readonly ManifestProblem[];
  readonly cache: ManifestCache;
}

/** What each document's text came to, lines counted from its own first line as 0. */
export type ManifestCache = ReadonlyMap<string, readonly Placed[] | ManifestProblem>;

interface Placed {
  readonly decoded: Decoded;
  readonly line: number;
  /** `items[2]`; empty when it is no item of a List. */
  readonly item: string;
}

/** Lists inside lists are taken apart this deep. */
const listDepthMax = 2;

export function parseManifest(text: string, isJson: boolean, known: ManifestCache = new Map()): Manifest {
  const cache = new Map<string, readonly Placed[] | ManifestProblem>();
  const entries: ManifestEntry[] = [];
  const problems: ManifestProblem[] = [];
  for (const chunk of isJson ? [{ text, line: 1 }] : splitDocuments(text)) {
    const result = known.get(chunk.text) ?? (isJson ? parseJson(chunk.text) : parseYaml(chunk.text));
    cache.set(chunk.text, result);
    if ("message" in result) {
      problems.push({ ...result, line: chunk.line + result.line });
      continue;
    }
    for (const { decoded, line, item } of result) {
      const places = [`line ${chunk.line + line}`, item].filter((each) => each !== "");
      // Positions inside JSON are not known.
      const place = isJson && item !== "" ? item : places.join(", ");
      entries.push({ decoded, place, text: chunk.text });
    }
  }
  return { entries, problems, cache };
}

/** `---` at the start of a line begins a document wherever it stands (YAML 1.2, 9.1.2). */
function splitDocuments(text: string): readonly { readonly text: string; readonly line: number }[] {
  // Directives belong to the document after them; files with them are rare, and parsed as a whole.
  if (/^%/m.test(text)) return [{ text, line: 1 }];
  let line = 1;
  return text.split(/^(?=---(?:\s|$))/m).map((part) => {
    const chunk = { text: part, line };
    line += part.split("\n").length - 1;
    return chunk;
  });
}

function parseYaml(text: string): readonly Placed[] | ManifestProblem {
  const lineCounter = new LineCounter();
  const lineOf = (offset: number): number => lineCounter.linePos(offset).line - 1;
  try {
    // Without prettyErrors, which would quote the source: it may be a Secret.
    const options = {
      lineCounter,
      prettyErrors: false,
      uniqueKeys: true,
      merge: true,
      logLevel: "silent",
    } as const;
    const documents = parseAllDocuments(text, options);
    const placed: Placed[] = [];
    for (const document of Array.isArray(documents) ? documents : []) {
      const [error] = document.errors;
      if (error !== undefined) return { line: lineOf(error.pos[0]), message: sentence(error.message) };
      const value: unknown = document.toJS();
      if (value === null || value === undefined) continue;
      placed.push(...flatten(value, lineOf(startOf(document)), listDepthMax));
    }
    return placed;
  } catch (cause) {
    // Aliases that grow without bound, or nesting deeper than the stack.
    return { line: 0, message: sentence(cause instanceof Error ? cause.message : String(cause)) };
  }
}

function startOf(document: Document.Parsed): number {
  return document.contents?.range[0] ?? document.range[0];
}

function parseJson(text: string): readonly Placed[] | ManifestProblem {
  if (text.trim() === "") return [];
  try {
    const value: unknown = JSON.parse(text);
    const lineCounter = new LineCounter();
    const asYaml = parseDocument(text, {
      lineCounter,
      prettyErrors: false,
      uniqueKeys: true,
      logLevel: "silent",
    });
    const duplicate = asYaml.errors.find((error) => error.code === "DUPLICATE_KEY");
    if (duplicate === undefined) return value === null ? [] : flatten(value, 0, listDepthMax);
    return { line: lineCounter.linePos(duplicate.pos[0]).line - 1, message: sentence(duplicate.message) };
  } catch (cause) {
    // The engine's message quotes the source; only its position is taken.
    const line = /\(line (\d+) column/.exec(cause instanceof Error ? cause.message : "")?.[1];
    const last = text.trimEnd().split("\n").length;
    return { line: (line === undefined ? last : Number(line)) - 1, message: "it is not valid JSON" };
  }
}

/** The items of `List` and of lists of a kind, whose items may leave out what the list's kind says. */
function flatten(value: unknown, line: number, depth: number, item = ""): readonly Placed[] {
  const isList = isFields(value) && typeof value["kind"] === "string" && value["kind"].endsWith("List");
  if (!isList || depth === 0) return [{ decoded: decodeObject(value), line, item }];
  const { kind, apiVersion, items } = value;
  if (items === null || items === undefined) return [];
  if (!Array.isArray(items)) return [{ decoded: decodeObject(value), line, item }];
  const implied = kind === "List" ? {} : { apiVersion, kind: String(kind).slice(0, -"List".length) };
  const path = item === "" ? "" : `${item}.`;
  return items.flatMap((each: unknown, index) =>
    flatten(isFields(each) ? { ...implied, ...each } : each, line, depth - 1, `${path}items[${index}]`),
  );
}

function sentence(message: string): string {
  const first = message.split("\n")[0] ?? "";
  return first.length > 200 ? `${first.slice(0, 197)}...` : first;
}
