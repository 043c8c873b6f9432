// Writes docs/annotations.md, docs/metrics.md and docs/flags.md from the code that they describe, and the saved results
// of benchmarks into docs/performance.md.
// `--check` writes nothing and fails when one of them is out of date: `npm run check` runs it.
import { readFileSync, writeFileSync } from "node:fs";
import { fillPage } from "../bench/lib/performance-page.ts";
import { readResult } from "../bench/lib/result.ts";
import { defaultText } from "../src/cli/arguments.ts";
import type { Flag } from "../src/cli/flag-types.ts";
import { controllerFlags, demoFlags, type AnyFlags } from "../src/cli/flags.ts";
import { meaninglessFlags, unsupportedFlags } from "../src/cli/unsupported-flags.ts";
import { connectionSettings } from "../src/controller/translate/connections.ts";
import { isProtective, knownAnnotations } from "../src/controller/translate/known-annotations.ts";
import { isProtectiveSetting, knownSettings } from "../src/controller/translate/known-settings.ts";
import type { AnyFeature } from "../src/features/feature.ts";
import { features } from "../src/features/registry.ts";
import { Origin, proxyErrors } from "../src/proxy/errors.ts";
import { metricDefinitions, type MetricDefinition } from "../src/metrics/definitions.ts";

const directory = new URL("../docs/", import.meta.url);
const pages: Readonly<Record<string, () => string>> = {
  "annotations.md": annotationsPage,
  "metrics.md": metricsPage,
  "flags.md": flagsPage,
  "performance.md": () => fillPage(readOrEmpty(new URL("performance.md", directory)), readResult),
};

const faults: Readonly<Record<Origin, string>> = {
  [Origin.Downstream]: "the client",
  [Origin.Fairway]: "configuration, or Fairway",
  [Origin.Upstream]: "the endpoint",
};

const isCheck = process.argv.includes("--check");
const stale: string[] = [];
for (const [name, makePage] of Object.entries(pages)) {
  const file = new URL(name, directory);
  const text = makePage();
  if (text === readOrEmpty(file)) continue;
  stale.push(`docs/${name}`);
  if (!isCheck) writeFileSync(file, text);
}
if (isCheck && stale.length > 0) {
  console.error(`out of date: ${stale.join(", ")}; run "npm run docs"`);
  process.exitCode = 1;
} else if (stale.length > 0) console.log(`wrote ${stale.join(", ")}`);

function readOrEmpty(file: URL): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return "";
    throw cause;
  }
}

function annotationsPage(): string {
  const annotations = features.flatMap((feature) => rowsOf(feature, feature.annotations));
  const settings = [
    ...features.flatMap((feature) => rowsOf(feature, feature.settings)),
    ...rowsOf({ name: "connections", onInvalid: "ignore" }, connectionSettings),
  ];
  const notYet = [...knownAnnotations].filter((key) => !features.some(({ annotations: own }) => key in own));
  const settingsNotYet = [...knownSettings].filter(
    (key) => !(key in connectionSettings) && !features.some(({ settings: own }) => key in own),
  );
  return page("Annotations and ConfigMap keys", "the feature registry", [
    "Annotations go on an Ingress, under the prefix `nginx.ingress.kubernetes.io/` (`--annotations-prefix`).",
    "Names that begin with `fairway.dev/` are Fairway's own and are written as they stand here.",
    "A wrong value is a diagnostic that names the object, the key, what was found and what was expected.",
    "It counts as absent, except where the last column says that it closes the routes of the Ingress: they answer 503 until it is mended.",
    "",
    ...table(["annotation", "what it does", "default", "feature", "a wrong value"], annotations),
    "",
    "## Keys of the ConfigMap",
    "",
    "In the ConfigMap that `--configmap` names. A change takes effect at once.",
    "",
    ...table(["key", "what it does", "default", "feature", "a wrong value"], settings),
    "",
    "## Not supported yet",
    "",
    "Fairway knows these annotations of ingress-nginx and reports each one that is set with a diagnostic, so that none is lost in silence.",
    "Those in bold protect something: an Ingress that sets one answers 503 rather than being open.",
    "",
    wordList(notYet, (key) => (isProtective(key, "true") ? `**\`${key}\`**` : `\`${key}\``)),
    "",
    "The same goes for these keys of the ConfigMap; one in bold closes every route.",
    "",
    wordList(settingsNotYet, (key) => (isProtectiveSetting(key, "true") ? `**\`${key}\`**` : `\`${key}\``)),
  ]);
}

function rowsOf(
  feature: Pick<AnyFeature, "name" | "onInvalid">,
  texts: Readonly<Record<string, string>>,
): string[][] {
  const consequence = feature.onInvalid === "deny" ? "closes the routes (503)" : "counts as absent";
  return Object.entries(texts).map(([key, text]) => {
    // The sentence about the default comes last in every text.
    const match = /^(.*?)\s*Default: (.*)\.$/s.exec(text);
    const [what, fallback] = match === null ? [text, ""] : [match[1] ?? "", match[2] ?? ""];
    return [
      `\`${key}\``,
      what === "" ? "Default of the annotation." : what,
      fallback,
      feature.name,
      consequence,
    ];
  });
}

function metricsPage(): string {
  const all: readonly MetricDefinition[] = Object.values(metricDefinitions);
  return page("Metrics", "src/metrics/definitions.ts", [
    "`/metrics` on the admin port (`--healthz-port`, 10254) answers in the Prometheus text format.",
    "Besides these there are the usual `process_` and `nodejs_` metrics.",
    "The labels `host` and `path` hold what Ingresses declare, never what requests asked for, so clients cannot add series.",
    "The series of a route that is gone leave a few minutes later.",
    "",
    ...table(
      ["metric", "type", "labels", "meaning"],
      all.map(({ name, type, labels, help }) => [
        `\`${name}\``,
        type,
        labels.map((label) => `\`${label}\``).join(", "),
        help,
      ]),
    ),
    "",
    "## Codes of errors",
    "",
    "Values of the label `code`. Status 0: the connection ends without a response.",
    "",
    ...table(
      ["code", "status", "whose fault"],
      Object.entries(proxyErrors).map(([code, { status, origin }]) => [
        `\`${code}\``,
        String(status),
        faults[origin],
      ]),
    ),
  ]);
}

function flagsPage(): string {
  const groups = Map.groupBy(Object.values<Flag<unknown>>(controllerFlags), ({ group }) => group);
  return page("Flags", "src/cli/flags.ts", [
    "Flags are written `--flag value` or `--flag=value`, and those without a value in the table also `--flag` alone for `--flag=true`.",
    "Names and defaults are those of ingress-nginx unless the text says otherwise.",
    "",
    "## `fairway controller`",
    ...[...groups].flatMap(([group, flags]) => ["", `### ${group}`, "", ...flagTable(flags)]),
    "",
    "## `fairway demo`",
    "",
    ...flagTable(Object.values<Flag<unknown>>(demoFlags satisfies AnyFlags)),
    "",
    "## `fairway translate DIRECTORY...`",
    "",
    "Takes `--output text` (default) or `--output json`, and the flags of the controller that decide how objects are read: the groups Which Ingresses, Defaults and Security.",
    "It ends with code 1 when there are diagnostics of severity error.",
    "",
    "## Flags of ingress-nginx that Fairway refuses",
    "",
    "Not supported yet:",
    "",
    wordList(unsupportedFlags, (name) => `\`--${name}\``),
    "",
    "Without meaning for Fairway, because there is no nginx, Lua or klog to set up:",
    "",
    wordList([...meaninglessFlags.keys()], (name) => `\`--${name}\``),
  ]);
}

function flagTable(flags: readonly Flag<unknown>[]): string[] {
  return table(
    ["flag", "value", "default", "what it does"],
    flags.map((flag) => [
      `\`--${flag.name}\``,
      flag.type.placeholder.replace(/^<(.*)>$/, "$1"),
      defaultText(flag),
      flag.description,
    ]),
  );
}

function page(title: string, origin: string, lines: readonly string[]): string {
  return [
    `# ${title}`,
    "",
    `Generated from ${origin} by \`npm run docs\`; do not edit.`,
    "",
    ...lines,
    "",
  ].join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map(cellText).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

/** A bar would end the cell, and `<word>` would be taken for HTML. */
function cellText(text: string): string {
  return text
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replaceAll(/\s*\n\s*/g, " ");
}

function wordList(words: readonly string[], format: (word: string) => string): string {
  return `${words.toSorted().map(format).join(", ")}.`;
}
