// What a client that sends these bytes is meant to be able to ask for: our own parser's reading, and the target and
// authority that follow from it (RFC 9112, 3.3).
import { Step } from "../../../src/proxy/http1/head-reader.ts";
import { RequestParser } from "../../../src/proxy/http1/request-parser.ts";
import { defaultLimits } from "../../../src/proxy/limits.ts";

export interface Intended {
  readonly method: string;
  /** Origin form, or `*`. */
  readonly target: string;
  readonly host: string;
  content: string;
  isComplete: boolean;
  /** The client or its version ends the connection after it. */
  readonly isLast: boolean;
  readonly minorVersion: number;
}

export interface Intention {
  readonly requests: readonly Intended[];
  /** After them comes something that is no request, or the last one is broken. */
  readonly hasFailed: boolean;
}

export function readIntended(bytes: Buffer): Intention {
  const parser = new RequestParser(defaultLimits);
  const requests: Intended[] = [];
  for (let pos = 0; ;) {
    const step = parser.read(bytes, pos, bytes.length);
    if (step === Step.Error || step === Step.More) return { requests, hasFailed: step === Step.Error };
    pos = parser.position;
    const last = requests.at(-1);
    if (step === Step.Head) requests.push(intended(parser));
    else if (last !== undefined && step === Step.Content) {
      last.content += bytes.toString("latin1", parser.content.contentStart, parser.content.contentEnd);
    } else if (last !== undefined) {
      last.isComplete = true;
      if (last.isLast) return { requests, hasFailed: false };
      parser.reset();
    }
  }
}

function intended({ method, target, hostField, isLast, minorVersion }: RequestParser): Intended {
  const common = { method, content: "", isComplete: false, isLast, minorVersion };
  const absolute = /^https?:\/\/([^/?]*)(.*)$/is.exec(target);
  if (absolute === null) return { ...common, target, host: hostField };
  const [, host = "", rest = ""] = absolute;
  const empty = method === "OPTIONS" ? "*" : "/";
  return { ...common, target: rest === "" ? empty : rest.startsWith("?") ? `/${rest}` : rest, host };
}
