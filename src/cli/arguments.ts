// From the words of the command line to typed values: commander reads them, by the definitions in flags.ts.
import { InvalidArgumentError, Option, type Command } from "commander";
import { nearestName } from "../controller/suggest.ts";
import { FlagValueError, type Flag } from "./flag-types.ts";
import type { AnyFlags, FlagValues } from "./flags.ts";
import { meaninglessFlags, unsupportedFlags } from "./unsupported-flags.ts";

/** Adds the flags, grouped as in the definitions. */
export function addFlags(command: Command, flags: AnyFlags): void {
  for (const flag of Object.values(flags)) command.addOption(optionOf(flag));
}

/** The values of `flags` that `command` was given, or their defaults. */
export function flagValues<Flags extends AnyFlags>(command: Command, flags: Flags): FlagValues<Flags> {
  const given = command.opts();
  return Object.fromEntries(
    // Every value came out of the parser of its own flag, or is its default.
    Object.entries(flags).map(([key, flag]) => [key, given[attributeOf(flag)]]),
  ) as FlagValues<Flags>;
}

/** Flags beside those of flags.ts, that commander or a command takes itself. */
const otherFlags = ["help", "h", "version", "output"];

/**
 * Boolean flags take no separate value, as in ingress-nginx: `--flag` is `--flag=true`, and what follows is another
 * word. A flag that no command takes ends the program through `fail`, with the best that can be said about it.
 */
export function normalizeWords(
  words: readonly string[],
  flags: AnyFlags,
  fail: (message: string) => never,
): string[] {
  const types = new Map(Object.values(flags).map(({ name, type }) => [name, type]));
  const known = [...types.keys(), ...otherFlags];
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  return words.map((word, index) => {
    const match = index < end ? /^--?([A-Za-z][\w-]*)(=.*)?$/s.exec(word) : null;
    if (match === null) return word;
    const [, name = "", value] = match;
    if (!known.includes(name)) fail(refusal(name.replaceAll("_", "-"), known));
    const isBoolean = types.get(name)?.placeholder === "";
    return value === undefined && word.startsWith("--") && isBoolean ? `${word}=true` : word;
  });
}

function refusal(name: string, known: readonly string[]): string {
  if (unsupportedFlags.includes(name)) {
    return `--${name} is a flag of ingress-nginx that Fairway does not support yet`;
  }
  const why = meaninglessFlags.get(name);
  if (why !== undefined) {
    return `--${name} is a flag of ingress-nginx that has no meaning for Fairway (${why}); leave it out`;
  }
  const nearest = nearestName(name, known);
  return `unknown flag --${name}${nearest === null ? "" : ` (did you mean --${nearest}?)`}`;
}

function optionOf(flag: Flag<unknown>): Option {
  const { name, type, description, group } = flag;
  // A boolean has its value by then; the brackets only make the help show it as one that may be left out.
  const value = type.placeholder === "" ? "[=true|false]" : type.placeholder;
  return new Option(`--${name} ${value}`, description)
    .default(flag.default, defaultText(flag))
    .helpGroup(`${group}:`)
    .argParser((text: string, previous: unknown) => {
      const parsed = parse(flag, text);
      const isFirst = previous === flag.default;
      return type.isRepeatable && !isFirst ? [...(previous as unknown[]), ...(parsed as unknown[])] : parsed;
    });
}

function parse(flag: Flag<unknown>, text: string): unknown {
  try {
    return flag.type.parse(text);
  } catch (cause) {
    if (cause instanceof FlagValueError) throw new InvalidArgumentError(`${cause.message}.`);
    throw cause;
  }
}

/** For the help and the documentation. */
export function defaultText(flag: Flag<unknown>): string {
  return flag.defaultText ?? String(flag.default);
}

/** Where commander keeps the value. */
function attributeOf(flag: Flag<unknown>): string {
  return flag.name.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
