// What the API server sends, read no further than to tell objects apart. What is inside them is decode/'s business.
import { apiError } from "../../../kube-api/errors.ts";
import { isFields, type Fields } from "../../decode/reader.ts";
import { objectKey, type ObjectKey } from "../../objects.ts";

/** The answer is not what the API server's own documentation promises. Never quotes it: it may be a Secret. */
export class UnreadableAnswer extends Error {}

export interface RawObject {
  readonly key: ObjectKey;
  readonly version: string;
  readonly value: Fields;
}

export interface Page {
  readonly objects: readonly RawObject[];
  readonly version: string;
  /** Empty: this is the last page. */
  readonly next: string;
}

export function readPage(answer: unknown, kind: string, apiVersion: string): Page {
  const metadata = isFields(answer) ? answer["metadata"] : null;
  const items = isFields(answer) ? (answer["items"] ?? []) : null;
  if (!isFields(metadata) || !Array.isArray(items)) throw new UnreadableAnswer("a list is not one");
  const next = metadata["continue"];
  return {
    objects: items.map((item) => rawObject(item, kind, apiVersion)),
    version: textOf(metadata["resourceVersion"]),
    next: typeof next === "string" ? next : "",
  };
}

export type WatchEvent =
  | { readonly type: "upsert" | "delete"; readonly object: RawObject }
  | { readonly type: "bookmark"; readonly version: string };

/** Throws the `ApiError` that an `ERROR` event is about. */
export function readWatchEvent(line: string, kind: string, apiVersion: string): WatchEvent {
  const event = parseLine(line);
  const object = event["object"];
  switch (event["type"]) {
    case "ADDED":
    case "MODIFIED":
      return { type: "upsert", object: rawObject(object, kind, apiVersion) };
    case "DELETED":
      return { type: "delete", object: rawObject(object, kind, apiVersion) };
    case "BOOKMARK": {
      const metadata = isFields(object) ? object["metadata"] : null;
      return { type: "bookmark", version: textOf(isFields(metadata) ? metadata["resourceVersion"] : null) };
    }
    case "ERROR":
      throw apiError(0, object, undefined);
    default:
      throw new UnreadableAnswer("an event of a watch has no known type");
  }
}

function parseLine(line: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new UnreadableAnswer("a line of a watch is no JSON");
  }
  if (!isFields(value)) throw new UnreadableAnswer("a line of a watch is no event");
  return value;
}

/** Items of a list say neither kind nor apiVersion. */
function rawObject(value: unknown, kind: string, apiVersion: string): RawObject {
  const metadata = isFields(value) ? value["metadata"] : null;
  if (!isFields(value) || !isFields(metadata)) throw new UnreadableAnswer("an object has no metadata");
  const { namespace = "", name, resourceVersion } = metadata;
  const key = objectKey(typeof namespace === "string" ? namespace : "", textOf(name));
  return { key, version: textOf(resourceVersion), value: { ...value, apiVersion, kind } };
}

function textOf(value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new UnreadableAnswer("metadata lacks a name or a resourceVersion");
}

/** Versions are numbers that grow, although written as text. */
export function isOlderVersion(version: string, than: string): boolean {
  const isNumber = /^\d+$/;
  return isNumber.test(version) && isNumber.test(than) && BigInt(version) < BigInt(than);
}
