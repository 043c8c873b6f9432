// `npm run bench:all`: every published benchmark, one after the other, and at the end which limits were met. What comes
// after `--` goes to each of them: `npm run bench:all -- --save`. One that fails does not keep the others from running.
import { once } from "node:events";
import { runAndCleanUp, startModule } from "./lib/children.ts";
import type { ScenarioReport } from "./lib/command.ts";

/** Modules of this folder, in the order of docs/performance.md. */
const SCENARIOS = [
  "keep-alive.ts",
  "connections.ts",
  "rate.ts",
  "large.ts",
  "tls.ts",
  "memory.ts",
  "scale.ts",
  "churn.ts",
  "workers.ts",
];

interface Ended {
  readonly module: string;
  readonly minutes: number;
  readonly code: number | null;
  /** Undefined: it ended before it had a result. */
  readonly report: ScenarioReport | undefined;
}

async function run(module: string, args: readonly string[]): Promise<Ended> {
  const startedAt = performance.now();
  let report: ScenarioReport | undefined;
  const { process: child } = startModule(`./${module}`, args);
  child.stdout?.pipe(process.stdout);
  child.stderr?.pipe(process.stderr);
  child.on("message", (message) => {
    // command.ts sends nothing else.
    report = message as ScenarioReport;
  });
  await once(child, "exit");
  return { module, minutes: (performance.now() - startedAt) / 60_000, code: child.exitCode, report };
}

function summary(all: readonly Ended[]): string[] {
  const lines = all.flatMap(({ module, minutes, code, report }) => {
    const title = `${module} (${minutes.toFixed(1)} min, exit code ${code})`;
    if (report === undefined) return [title, "  FAILED: no result"];
    return [
      title,
      ...report.limits.map(({ text, isMet }) => `  ${isMet ? "met" : "MISSED"}: ${text}`),
      ...report.problems.map((problem) => `  FAILED: ${problem}`),
      ...(report.missing.length === 0 ? [] : [`  not installed: ${report.missing.join(", ")}`]),
    ];
  });
  const limits = all.flatMap(({ report }) => report?.limits ?? []);
  const met = limits.filter(({ isMet }) => isMet).length;
  const minutes = all.reduce((sum, each) => sum + each.minutes, 0);
  return [...lines, `${met} of ${limits.length} limits met in ${minutes.toFixed(1)} minutes`];
}

await runAndCleanUp(async () => {
  const args = process.argv.slice(2);
  const all: Ended[] = [];
  let isInterrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      isInterrupted = true;
    });
  }
  for (const module of SCENARIOS) {
    // The clean-up of a signal ends the one that runs; the next must not start meanwhile.
    if (isInterrupted) break;
    console.log(`\n== ${module} ${args.join(" ")}`);
    all.push(await run(module, args));
  }
  console.log(`\n${summary(all).join("\n")}`);
  return all.every(({ code }) => code === 0) ? 0 : 1;
});
