import { expect, test } from "vitest";
import { interleave, ratio } from "../../bench/lib/measure.ts";
import { fillPage } from "../../bench/lib/performance-page.ts";
import { isMet, markdownBody, type Limit, type Result } from "../../bench/lib/result.ts";
import { spread } from "../../bench/lib/statistics.ts";
import { drawPlots, type Plot } from "../../bench/lib/svg.ts";

const limit: Limit = { what: "CPU per request, x nginx", value: 1.2, max: 1.05 };

const result: Result = {
  name: "keep-alive",
  title: "Keep-alive requests",
  question: "What does it cost?",
  command: "npm run bench",
  date: "2026-01-02T03:04:05.678Z",
  machine: { cpu: "CPU", cpus: 2, memoryGib: 4, system: "Linux", node: "v26.0.0", load1: 0.5 },
  otherWork: { beforeCpus: 0.03, afterCpus: 0.1 },
  options: {},
  versions: { fairway: "0.1.0", nginx: "1.2.3" },
  missing: ["caddy"],
  load: "autocannon 9.0.0",
  table: { columns: ["proxy", "CPU"], rows: [["fairway", "12.0"]] },
  limits: [limit],
  problems: ["nginx: 3 requests failed"],
  notes: [],
  plots: [{ kind: "bars", title: "CPU", unit: "us", bars: [{ label: "fairway", value: spread([1, 2, 3]) }] }],
  rounds: {},
};

test.each([
  ["at the limit", { value: 1.05, max: 1.05 }, true],
  ["above", { value: 1.06, max: 1.05 }, false],
  ["below a minimum", { value: 0.99, min: 1 }, false],
  ["not measured", { value: Number.NaN, max: 1 }, false],
  // What JSON makes of NaN.
  ["not measured, after it was saved", { value: null as unknown as number, max: 1 }, false],
])("a limit: %s", (_what, figures, expected) => {
  expect(isMet({ what: "x", ...figures })).toBe(expected);
});

test("a result names missed limits, failures, missing peers, versions, load and command", () => {
  const text = markdownBody(result, "plot.svg");
  const parts = [
    "**MISSED**: CPU per request, x nginx: 1.20 (limit: at most 1.05)",
    "**FAILED**: nginx: 3 requests failed",
    "Not installed, so not measured: caddy.",
    "fairway 0.1.0, nginx 1.2.3",
    "Load: autocannon 9.0.0.",
    "`npm run bench`, 2026-01-02 03:04 UTC",
    "![Keep-alive requests](plot.svg)",
  ];
  for (const part of parts) expect(text).toContain(part);
});

test("a result of a machine that was not quiet says that it is preliminary", () => {
  expect(markdownBody(result, "plot.svg")).not.toContain("Preliminary");
  const busy: Result = { ...result, otherWork: { beforeCpus: 0.03, afterCpus: 0.9 } };
  expect(markdownBody(busy, "plot.svg")).toMatch(
    /^\*\*Preliminary: .* 0\.03 CPUs before the run and 0\.90 after it/,
  );
});

test("a limit of a run in which something failed is neither met nor missed", () => {
  const page = "<!-- limits -->\n<!-- end -->\n<!-- result: keep-alive -->\n<!-- end -->\n";
  const failed: Result = { ...result, limits: [{ what: "x", value: 1, max: 2 }] };
  expect(fillPage(page, () => failed)).toContain("| x: 1 (limit: at most 2) | **the run failed** |");
  expect(fillPage(page, () => ({ ...failed, problems: [] }))).toContain("| x: 1 (limit: at most 2) | met |");
});

test("results fill their places in a page, again and again, and nothing else changes", () => {
  const page =
    "# Page\n\n<!-- limits -->\n<!-- end -->\n\nBy hand.\n\n<!-- result: keep-alive -->\nold\n<!-- end -->\n\nThe end.\n";
  const filled = fillPage(page, () => ({ ...result, problems: [] }));
  expect(filled).toContain("| fairway | 12.0 |");
  expect(filled).toContain(
    "| Keep-alive requests | CPU per request, x nginx: 1.20 (limit: at most 1.05) | **missed** |",
  );
  expect(filled).not.toContain("old");
  expect(filled).toMatch(/^# Page\n[\s\S]*By hand\.[\s\S]*\nThe end\.\n$/);
  expect(fillPage(filled, () => ({ ...result, problems: [] }))).toBe(filled);
  expect(fillPage(page, () => undefined)).toContain("No result has been saved yet.");
});

test("each round measures every contender once, in another order, and the first is thrown away", async () => {
  const order: string[] = [];
  const rounds = await interleave({
    contenders: [{ name: "a" }, { name: "b" }],
    rounds: 2,
    measure: ({ name }) => {
      order.push(name);
      return Promise.resolve(order.length);
    },
    show: String,
    progress: () => {},
  });
  expect(order.join("")).toBe("abbaab");
  expect([...rounds]).toEqual([
    ["a", [4, 5]],
    ["b", [3, 6]],
  ]);
  // Within each round: 4/3 and 5/6.
  expect(ratio(rounds, ["a", "b"], Number)?.max).toBeCloseTo(4 / 3);
  expect(ratio(rounds, ["a", "b"], Number)?.min).toBeCloseTo(5 / 6);
  expect(ratio(rounds, ["a", "c"], Number)).toBeUndefined();
});

test("plots are well-formed and free of NaN, with figures that were not measured too", () => {
  const unmeasured = spread([Number.NaN]);
  const plots: Plot[] = [
    ...result.plots,
    { kind: "bars", title: "a < b & c", unit: "us", bars: [{ label: "x", value: unmeasured }] },
    {
      kind: "lines",
      title: "Hosts",
      xLabel: "hosts",
      unit: "us",
      yScale: "log",
      series: [
        { label: "fairway", points: [10, 1000].map((x) => ({ x, y: spread([x, x * 2]) })) },
        { label: "nginx", points: [{ x: 10, y: unmeasured }] },
      ],
    },
    { kind: "lines", title: "Nothing", xLabel: "x", unit: "us", yScale: "linear", series: [] },
  ];
  const svg = drawPlots(plots);
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  expect(svg).toContain("a &lt; b &amp; c");
  expect(svg.match(/<g /g)?.length).toBe(svg.match(/<\/g>/g)?.length);
  expect(drawPlots(plots)).toBe(svg);
});
