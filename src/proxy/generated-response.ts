// Responses of our own, in place of an endpoint's. When there is to be one is the exchange's decision.
import { httpDate, retryAfterSeconds } from "./core.ts";
import { errorPage, reasonPhrases } from "./errors.ts";
import type { Answer } from "./filter.ts";
import type { Downstream } from "./ports.ts";

/** What logs and metrics show for a request whose client went away before there was a response; nginx's number. */
export const clientClosedStatus = 499;

export interface GeneratedResponse {
  readonly status: number;
  readonly lines: string;
  /** The small page that belongs to the status; empty: none. */
  readonly page: Buffer;
}

/** `editLines`: the field lines of every response of the route. */
export function refusal(status: number, editLines: string): GeneratedResponse {
  return generate(status, status === 503 ? `Retry-After: ${retryAfterSeconds}\r\n` : "", editLines);
}

export function answerOf({ status, fields }: Answer, editLines: string): GeneratedResponse {
  let lines = "";
  for (const { name, value } of fields) lines += `${name}: ${value}\r\n`;
  return generate(status, lines, editLines);
}

function generate(status: number, extraLines: string, editLines: string): GeneratedResponse {
  const page = Buffer.from(errorPage(status), "latin1");
  const type = page.length === 0 ? "" : "Content-Type: text/html\r\n";
  return { status, lines: `Date: ${httpDate()}\r\n${type}${extraLines}${editLines}`, page };
}

export function sendGenerated(
  downstream: Downstream,
  { status, lines, page }: GeneratedResponse,
  hasContent: boolean,
): void {
  downstream.sendHead(status, reasonPhrases[status] ?? "", lines, page.length, hasContent);
  if (hasContent) downstream.sendContent(page, 0, page.length);
  downstream.sendEnd("");
}
