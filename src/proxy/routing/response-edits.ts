// The fields that filters set on every response of a route, checked and written out once when the route is compiled.
import type { Filter, ResponseField } from "../filter.ts";
import type { ResponseEdits } from "./snapshot.ts";

const noEdits: ResponseEdits = { names: [], lines: "" };

/** RFC 9110, 5.6.2; lower case, since the backend's fields are compared in lower case. */
const lowerCaseToken = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9110, 5.5. Nothing above 0xff: written as latin1, U+010A would become a line feed. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
/** They frame the message or belong to one connection (RFC 9110, 7.6.1); only the proxy's codecs may write them. */
const reservedNames: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Makes edits, sharing equal ones: thousands of routes have the same few. One for each compilation. */
export class ResponseEditsFactory {
  readonly #made = new Map<string, ResponseEdits>([["", noEdits]]);

  /** Throws when a field is not fit to be sent. */
  make(filters: readonly Filter[], isTls: boolean): ResponseEdits {
    const linesByName = new Map<string, string>();
    for (const { responseFields } of filters) {
      if (responseFields === undefined) continue;
      const fields = responseFields.filter((field) => isTls || !field.onlyOverTls);
      // A later filter replaces what an earlier one set; one filter may set a name several times.
      for (const { name } of fields) linesByName.delete(name);
      for (const field of fields) {
        linesByName.set(field.name, (linesByName.get(field.name) ?? "") + fieldLine(field));
      }
    }
    const lines = [...linesByName.values()].join("");
    let edits = this.#made.get(lines);
    if (edits === undefined) {
      edits = { names: [...linesByName.keys()], lines };
      this.#made.set(lines, edits);
    }
    return edits;
  }
}

function fieldLine({ name, value }: ResponseField): string {
  if (!lowerCaseToken.test(name))
    throw new TypeError(`${JSON.stringify(name)} is not a lower-case field name`);
  if (reservedNames.has(name)) throw new TypeError(`the field ${name} is the proxy's own`);
  if (!fieldValue.test(value))
    throw new TypeError(`the value of ${name} has characters that no field may have`);
  return `${name}: ${value}\r\n`;
}
