// The plots of the results: bars with ranges, and lines over an axis of magnitudes. Plain SVG with its own colours for
// light and dark, so that it can stand in a page as an image. Pure, and the same data gives the same bytes.
import type { Spread } from "./statistics.ts";

export interface Bar {
  readonly label: string;
  readonly value: Spread;
}

/** Lengths are comparable from 0 on; the whiskers go from the lowest to the highest round. */
export interface BarPlot {
  readonly kind: "bars";
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
}

export interface Series {
  readonly label: string;
  readonly points: readonly { readonly x: number; readonly y: Spread }[];
}

/** Both axes logarithmic when `yScale` is "log"; otherwise y begins at 0. x is always logarithmic. */
export interface LinePlot {
  readonly kind: "lines";
  readonly title: string;
  readonly xLabel: string;
  readonly unit: string;
  readonly yScale: "linear" | "log";
  readonly series: readonly Series[];
}

export type Plot = BarPlot | LinePlot;

const WIDTH = 760;
const MARGIN = 16;
const TITLE_HEIGHT = 34;
const BAR_HEIGHT = 26;
const LABEL_WIDTH = 150;
const VALUE_WIDTH = 170;
const LINE_HEIGHT = 260;
const AXIS_WIDTH = 64;
const LEGEND_HEIGHT = 22;

/** Fairway is what the reader looks for: it has the strong colour, always the same. */
const OURS = /^fairway/;
const COLOURS = 6;

const STYLE = `
svg { background: #ffffff; font: 13px system-ui, sans-serif; }
text { fill: #24292f; } .title { font-weight: 600; } .soft { fill: #57606a; }
.grid { stroke: #d0d7de; } .whisker { stroke: #24292f; stroke-width: 1.5; } .line { fill: none; stroke-width: 2; }
.f0 { fill: #0969da; } .f1 { fill: #8c959f; } .f2 { fill: #bf8700; } .f3 { fill: #1a7f37; } .f4 { fill: #8250df; } .f5 { fill: #cf222e; }
.s0 { stroke: #0969da; } .s1 { stroke: #8c959f; } .s2 { stroke: #bf8700; } .s3 { stroke: #1a7f37; } .s4 { stroke: #8250df; } .s5 { stroke: #cf222e; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9198a1; }
.grid { stroke: #3d444d; } .whisker { stroke: #e6edf3; }
.f0 { fill: #4493f8; } .f1 { fill: #6e7681; } .f2 { fill: #d29922; } .f3 { fill: #3fb950; } .f4 { fill: #ab7df8; } .f5 { fill: #f85149; }
.s0 { stroke: #4493f8; } .s1 { stroke: #6e7681; } .s2 { stroke: #d29922; } .s3 { stroke: #3fb950; } .s4 { stroke: #ab7df8; } .s5 { stroke: #f85149; }
}`;

/** All plots below one another in one image. */
export function drawPlots(plots: readonly Plot[]): string {
  const parts: string[] = [];
  let y = MARGIN;
  for (const plot of plots) {
    const { height, content } = plot.kind === "bars" ? drawBars(plot) : drawLines(plot);
    parts.push(`<g transform="translate(${MARGIN} ${y})">`, ...content, "</g>");
    y += height + MARGIN;
  }
  const titles = plots.map(({ title }) => title).join("; ");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="${escape(titles)}">`,
    `<style>${STYLE}\n</style>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

interface Drawing {
  readonly height: number;
  readonly content: readonly string[];
}

function drawBars({ title, unit, bars }: BarPlot): Drawing {
  const right = WIDTH - 2 * MARGIN - VALUE_WIDTH;
  const most = Math.max(...bars.map(({ value }) => finite(value.max)), Number.MIN_VALUE);
  const x = (value: number): number => round(LABEL_WIDTH + (finite(value) / most) * (right - LABEL_WIDTH));
  const content = [titleLine(title, unit)];
  bars.forEach(({ label, value }, index) => {
    const top = TITLE_HEIGHT + index * BAR_HEIGHT;
    const middle = top + BAR_HEIGHT / 2 - 2;
    const text = Number.isFinite(value.median) ? shortNumber(value.median) : "not measured";
    content.push(
      `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escape(label)}</text>`,
      `<rect class="${OURS.test(label) ? "f0" : "f1"}" x="${LABEL_WIDTH}" y="${top}" width="${round(x(value.median) - LABEL_WIDTH)}" height="${BAR_HEIGHT - 6}" rx="2"/>`,
      `<path class="whisker" d="M${x(value.min)} ${middle}H${x(value.max)}M${x(value.min)} ${middle - 4}v8M${x(value.max)} ${middle - 4}v8"/>`,
      `<text x="${x(value.max) + 8}" y="${middle + 4}">${text} <tspan class="soft">${rangeText(value)}</tspan></text>`,
    );
  });
  return { height: TITLE_HEIGHT + bars.length * BAR_HEIGHT, content };
}

function drawLines(plot: LinePlot): Drawing {
  const { title, unit, xLabel, yScale, series } = plot;
  const points = series.flatMap((each) => each.points).filter(({ y }) => Number.isFinite(y.median));
  const left = AXIS_WIDTH;
  const right = WIDTH - 2 * MARGIN - 24;
  const top = TITLE_HEIGHT;
  const bottom = top + LINE_HEIGHT;
  const xs = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const [xMin, xMax] = [Math.log(xs[0] ?? 1), Math.log(xs.at(-1) ?? 10)];
  const x = (value: number): number =>
    round(left + ((Math.log(value) - xMin) / (xMax - xMin || 1)) * (right - left));
  const highest = Math.max(...points.map(({ y }) => y.max), 0);
  const ticks = yScale === "log" ? logTicks(points.map(({ y }) => y)) : linearTicks(highest);
  const [yMin, yMax] = [ticks[0] ?? 0, ticks.at(-1) ?? 1];
  const scale = (value: number): number => (yScale === "log" ? Math.log(Math.max(value, yMin)) : value);
  const y = (value: number): number =>
    round(bottom - ((scale(value) - scale(yMin)) / (scale(yMax) - scale(yMin) || 1)) * (bottom - top));
  const content = [
    titleLine(title, unit),
    ...ticks.flatMap((tick) => [
      `<path class="grid" d="M${left} ${y(tick)}H${right}"/>`,
      `<text class="soft" x="${left - 8}" y="${y(tick) + 4}" text-anchor="end">${shortNumber(tick)}</text>`,
    ]),
    ...xs.map(
      (value) =>
        `<text class="soft" x="${x(value)}" y="${bottom + 18}" text-anchor="middle">${value.toLocaleString("en-US")}</text>`,
    ),
    `<text class="soft" x="${(left + right) / 2}" y="${bottom + 36}" text-anchor="middle">${escape(xLabel)}</text>`,
  ];
  let others = 0;
  series.forEach(({ label, points: own }, index) => {
    const colour = OURS.test(label) && index === 0 ? 0 : 1 + (others++ % (COLOURS - 1));
    const shown = own.filter((point) => Number.isFinite(point.y.median));
    const path = shown.map((point, each) => `${each === 0 ? "M" : "L"}${x(point.x)} ${y(point.y.median)}`);
    content.push(
      `<path class="line s${colour}" d="${path.join("")}"/>`,
      ...shown.map(
        (point) => `<path class="s${colour}" d="M${x(point.x)} ${y(point.y.min)}V${y(point.y.max)}"/>`,
      ),
      ...shown.map(
        (point) => `<circle class="f${colour}" cx="${x(point.x)}" cy="${y(point.y.median)}" r="3.5"/>`,
      ),
      `<rect class="f${colour}" x="${left + (index % 4) * 165}" y="${bottom + 48 + Math.floor(index / 4) * LEGEND_HEIGHT}" width="12" height="12" rx="2"/>`,
      `<text x="${left + (index % 4) * 165 + 18}" y="${bottom + 59 + Math.floor(index / 4) * LEGEND_HEIGHT}">${escape(label)}</text>`,
    );
  });
  return { height: bottom + 48 + Math.ceil(series.length / 4) * LEGEND_HEIGHT, content };
}

function titleLine(title: string, unit: string): string {
  return `<text y="14"><tspan class="title">${escape(title)}</tspan> <tspan class="soft">${escape(unit)}</tspan></text>`;
}

function logTicks(values: readonly Spread[]): number[] {
  const positive = values.flatMap(({ min, max }) => [min, max]).filter((value) => value > 0);
  if (positive.length === 0) return [0.1, 1];
  const from = Math.floor(Math.log10(Math.min(...positive)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...positive))));
  return Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
}

function linearTicks(most: number): number[] {
  const highest = most > 0 ? most : 1;
  const magnitude = 10 ** Math.floor(Math.log10(highest / 4));
  const step = magnitude * ([1, 2, 5, 10].find((factor) => highest / 4 / magnitude <= factor) ?? 10);
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, index) => index * step);
}

/** Enough digits to tell neighbours apart, and no noise of binary fractions. */
export function shortNumber(value: number): string {
  if (value !== 0 && Math.abs(value) < 1) return String(Number(value.toPrecision(2)));
  if (Math.abs(value) < 10) return String(Number(value.toFixed(2)));
  return Number(value.toFixed(Math.abs(value) < 100 ? 1 : 0)).toLocaleString("en-US");
}

function rangeText({ min, max }: Spread): string {
  return min === max || !Number.isFinite(min) ? "" : `(${shortNumber(min)}-${shortNumber(max)})`;
}

/** A value that was not measured is NaN, after JSON null. */
function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
