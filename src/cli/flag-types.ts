// What a flag is, and how the text of each kind of value becomes that value.
import { isIP } from "node:net";
import { publishedAddress, type Addresses } from "../controller/publish/addresses.ts";
import type { PathConflicts } from "../controller/admission/judge.ts";
import type { StatusMode } from "../controller/publish/status.ts";
import { isLogLevel, logLevels, type LogFormat, type LogLevel } from "./log.ts";

/** How a flag's text becomes its value. A wrong text throws `FlagValueError` with what was expected. */
export interface FlagType<Value> {
  /** Shown in the help: `<port>`; empty for booleans, which need no value. */
  readonly placeholder: string;
  readonly parse: (text: string) => Value;
  /** May be given several times; the lists that `parse` returns are joined. */
  readonly isRepeatable?: true;
}

export interface Flag<Value> {
  readonly name: string;
  /** One letter, without dash. */
  readonly short?: string;
  readonly type: FlagType<Value>;
  readonly default: Value;
  /** Instead of the default itself, where that is empty. */
  readonly defaultText?: string;
  readonly description: string;
  readonly group: FlagGroup;
}

export type FlagGroup =
  | "Source"
  | "Which Ingresses"
  | "Listeners"
  | "Defaults"
  | "What is written to the cluster"
  | "Security"
  | "Limits"
  | "Admission"
  | "Operation";

/** The message says what was expected: `expected a port, 0 to 65535`. */
export class FlagValueError extends Error {}

export const boolean: FlagType<boolean> = {
  placeholder: "",
  parse(text) {
    if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
    if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
    throw new FlagValueError("expected true or false");
  },
};

/** More threads than any machine has use for; each costs memory. */
export const workersMax = 256;

function integer(placeholder: string, what: string, max: number, min = 0): FlagType<number> {
  return {
    placeholder,
    parse(text) {
      if (/^\d{1,10}$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
      throw new FlagValueError(`expected ${what}, ${min} to ${max}`);
    },
  };
}

function matching(placeholder: string, pattern: RegExp, expected: string): FlagType<string> {
  return {
    placeholder,
    parse(text) {
      if (pattern.test(text)) return text;
      throw new FlagValueError(`expected ${expected}`);
    },
  };
}

export const port = integer("<port>", "a port", 65_535);
export const workers = integer("<number>", "a number of threads", workersMax, 1);
export const seconds = integer("<seconds>", "a number of seconds", 86_400);
export const connections = integer("<number>", "a number of connections", 1_000_000, 1);
export const connectionsOrNone = integer("<number>", "a number of connections", 1_000_000);
export const milliseconds = integer("<milliseconds>", "a number of milliseconds", 60_000);
export const percent = integer("<percent>", "a percentage", 100);
const name = "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?";
export const namespacedName = matching("<namespace/name>", new RegExp(`^${name}/${name}$`), "namespace/name");
export const objectName = matching(
  "<name>",
  new RegExp(`^${name}$`),
  "a name of lower-case letters, digits, dashes and dots",
);
export const qualifiedName = matching(
  "<name>",
  /^[A-Za-z0-9./_-]{1,253}$/,
  "letters, digits, dots, slashes and dashes",
);
/** Requirements as kubectl takes them: `a=b,c in (d,e),!f`. */
const labelKey = "([a-z0-9.-]+/)?[A-Za-z0-9][A-Za-z0-9._-]*";
const labelValue = "[A-Za-z0-9._-]*";
const requirement = `\\s*(!\\s*${labelKey}|${labelKey}(\\s*(=|==|!=)\\s*${labelValue}|\\s+(in|notin)\\s+\\(\\s*${labelValue}(\\s*,\\s*${labelValue})*\\s*\\))?)\\s*`;
export const labelSelector = matching(
  "<selector>",
  new RegExp(`^${requirement}(,${requirement})*$`),
  "a label selector such as team=web,stage in (test,live)",
);
export const file = matching("<file>", /./, "a file");
export const url = matching("<address>", /./, "an address such as https://10.0.0.1:6443");
/** As Go listens: `:8443` is every address. */
export const listenAddress: FlagType<{ readonly host: string; readonly port: number } | null> = {
  placeholder: "<address:port>",
  parse(text) {
    const [, host = "", portText = ""] = /^(.*):(\d{1,5})$/.exec(text) ?? [];
    const given = host.replace(/^\[(.*)\]$/, "$1");
    const isAddress = given === "" || isIP(given) !== 0;
    if (isAddress && portText !== "" && Number(portText) <= 65_535) {
      return { host: given, port: Number(portText) };
    }
    throw new FlagValueError("expected an address and a port, such as :8443 or 10.0.0.1:8443");
  },
};

export const pathConflicts: FlagType<PathConflicts> = {
  placeholder: "<what>",
  parse(text) {
    if (text === "refuse" || text === "refuse-other-namespace" || text === "warn") return text;
    throw new FlagValueError("expected refuse, refuse-other-namespace or warn");
  },
};

export const perSecond = integer("<number>", "a number", 1_000_000, 1);

export const zoneName = matching(
  "<zone>",
  /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/,
  "a label value: letters, digits, dashes, underscores and dots, 63 at most",
);
export const path = matching("<path>", /^\/[\w/.~-]*$/, "a path that begins with /");

export const directories: FlagType<readonly string[]> = {
  placeholder: "<directory>",
  isRepeatable: true,
  parse(text) {
    if (text === "") throw new FlagValueError("expected a directory");
    return [text];
  },
};

function parseAddress(text: string): string {
  const address = text.trim().replace(/^\[(.*)\]$/, "$1");
  if (isIP(address) === 0) throw new FlagValueError("expected an IPv4 or IPv6 address");
  return address;
}

export const address: FlagType<string> = { placeholder: "<address>", parse: parseAddress };
export const addresses: FlagType<readonly string[]> = {
  placeholder: "<addresses>",
  parse: (text) => text.split(",").map(parseAddress),
};

export const publishedAddresses: FlagType<Addresses> = {
  placeholder: "<addresses>",
  parse: (text) =>
    text.split(",").map((each) => {
      const address = publishedAddress(each.trim());
      if (address === null) throw new FlagValueError("expected IP addresses and DNS names");
      return address;
    }),
};

export const statusMode: FlagType<StatusMode> = {
  placeholder: "<mode>",
  parse(text) {
    if (text === "own" || text === "observe" || text === "off") return text;
    throw new FlagValueError("expected own, observe or off");
  },
};

/** Milliseconds per unit, as Go writes durations. */
const durationUnits: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
/** A Lease has whole seconds, and a renewal has to fit into a quarter of them. */
const durationMinMs = 2_000;
const durationMaxMs = 3_600_000;

export const duration: FlagType<number> = {
  placeholder: "<duration>",
  parse(text) {
    const isDuration = /^(\d{1,9}(\.\d{1,9})?(h|ms|m|s))+$/.test(text);
    const parts = isDuration ? [...text.matchAll(/([\d.]+)(h|ms|m|s)/g)] : [];
    const ms = parts.reduce(
      (sum, [, number, unit]) => sum + Number(number) * (durationUnits[unit ?? ""] ?? 0),
      0,
    );
    if (ms >= durationMinMs && ms <= durationMaxMs) return ms;
    throw new FlagValueError("expected a duration such as 30s or 1m30s, 2s to 1h");
  },
};

export const logLevel: FlagType<LogLevel> = {
  placeholder: "<level>",
  parse(text) {
    if (isLogLevel(text)) return text;
    throw new FlagValueError(`expected one of ${logLevels.join(", ")}`);
  },
};

export const logFormat: FlagType<LogFormat> = {
  placeholder: "<format>",
  parse(text) {
    if (text === "text" || text === "json") return text;
    throw new FlagValueError("expected text or json");
  },
};

export function flag<Value>(definition: Flag<Value>): Flag<Value> {
  return definition;
}
