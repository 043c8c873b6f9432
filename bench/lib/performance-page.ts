// Puts saved results into docs/performance.md, between markers that stay in it; everything else on the page is written
// by hand. `npm run docs` calls it, so a benchmark that is saved again updates the figures without an edit.
//
//   <!-- result: keep-alive -->   table, plot, verdicts, machine and command of bench/results/keep-alive.json
//   <!-- limits -->               every limit of the results on the page, met or missed
//   <!-- end -->                  ends either
import { isMet, isPreliminary, limitText, markdownBody, type Result } from "./result.ts";

const BLOCK = /<!-- (?:result: ([a-z0-9-]+)|(limits)) -->\n[\s\S]*?<!-- end -->/g;
const RESULTS = "../bench/results";

export function fillPage(text: string, read: (name: string) => Result | undefined): string {
  const names = [...text.matchAll(BLOCK)].flatMap(([, name]) => (name === undefined ? [] : [name]));
  return text.replaceAll(BLOCK, (block, name: string | undefined) => {
    const marker = block.slice(0, block.indexOf("\n"));
    const content = name === undefined ? limits(names.map(read)) : section(name, read(name));
    return `${marker}\n\n${content}\n\n<!-- end -->`;
  });
}

function section(name: string, result: Result | undefined): string {
  if (result === undefined) return "No result has been saved yet.";
  return `${markdownBody(result, `${RESULTS}/${name}.svg`)}\n- Every round: [${name}.json](${RESULTS}/${name}.json).`;
}

function limits(results: readonly (Result | undefined)[]): string {
  const rows = results.flatMap((result) =>
    (result?.limits ?? []).map((limit) => {
      const mark = result !== undefined && isPreliminary(result) ? " (preliminary)" : "";
      // Figures of a run in which something failed are no evidence of either.
      const isFailed = result !== undefined && result.problems.length > 0;
      const verdict = isFailed ? "**the run failed**" : isMet(limit) ? "met" : "**missed**";
      return `| ${result?.title}${mark} | ${limitText(limit)} | ${verdict} |`;
    }),
  );
  return rows.length === 0
    ? "No result has been saved yet."
    : ["| benchmark | figure | |", "| --- | --- | --- |", ...rows].join("\n");
}
