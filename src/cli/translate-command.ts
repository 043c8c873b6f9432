// `fairway translate`: what manifests mean, without serving them. The debugger of configurations.
import { formatTable } from "../admin/table-text.ts";
import { RebuildLoop, type RebuildState } from "../controller/rebuild.ts";
import { DirectorySource } from "../controller/sources/directory.ts";
import { formatDiagnostic, type Diagnostic } from "../ir/diagnostic.ts";
import { redactIr, type RoutingIr } from "../ir/routing.ts";
import { compile } from "../proxy/routing/table.ts";
import { systemClock } from "../util/clock.ts";
import { fromFiles } from "./from-files.ts";
import { featureRuntimes } from "./feature-runtimes.ts";
import type { FlagValues, translateFlags } from "./flags.ts";
import { viewSnapshot } from "./snapshot-view.ts";
import { StartError } from "./start-error.ts";

/** Returns the exit code: 1 when there are diagnostics that are errors. */
export async function runTranslate(
  directories: readonly string[],
  values: FlagValues<typeof translateFlags>,
  output: "text" | "json",
): Promise<number> {
  const { ir, diagnostics } = await translateDirectories(directories, values);
  const hasErrors = diagnostics.some(({ severity }) => severity === "error");
  process.stdout.write(output === "json" ? asJson(ir, diagnostics) : asText(ir, diagnostics));
  return hasErrors ? 1 : 0;
}

/** The very loop that serves, with sources that are read once and a publisher that does nothing. */
async function translateDirectories(
  directories: readonly string[],
  values: FlagValues<typeof translateFlags>,
): Promise<{ ir: RoutingIr | null; diagnostics: readonly Diagnostic[] }> {
  let bug: unknown = null;
  const loop = new RebuildLoop({
    sources: directories.map(
      (directory) => new DirectorySource({ directory, clock: systemClock, watch: false }),
    ),
    translate: fromFiles(values),
    publisher: { publishTable: () => undefined, publishEndpoints: () => undefined },
    clock: systemClock,
    onFailure: (cause) => {
      bug = cause;
    },
  });
  try {
    await loop.start();
  } catch (cause) {
    throw new StartError(cause instanceof Error ? cause.message : String(cause), { cause });
  } finally {
    await loop.close();
  }
  if (bug !== null) throw new Error("a bug in Fairway", { cause: bug });
  const state: RebuildState = loop.state;
  return { ir: state.ir, diagnostics: state.diagnostics };
}

function asJson(ir: RoutingIr | null, diagnostics: readonly Diagnostic[]): string {
  return `${JSON.stringify({ ir: ir && redactIr(ir), diagnostics }, null, 2)}\n`;
}

function asText(ir: RoutingIr | null, diagnostics: readonly Diagnostic[]): string {
  const parts: string[] = [];
  if (ir !== null) {
    const snapshot = compile(ir, featureRuntimes, null);
    parts.push(
      formatTable(viewSnapshot(snapshot, { health: null, checks: [], problems: [], selfSigned: null })),
    );
  }
  if (diagnostics.length === 0) parts.push("no diagnostics\n");
  else parts.push(diagnostics.map((each) => `${each.severity}: ${formatDiagnostic(each)}\n`).join(""));
  return parts.join("\n");
}
