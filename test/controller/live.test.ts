// The controller whole: files in, tables out, on the real file system and the real clock.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RebuildLoop } from "../../src/controller/rebuild.ts";
import { DirectorySource } from "../../src/controller/sources/directory.ts";
import { defaultTranslateOptions } from "../../src/controller/translate/options.ts";
import { features } from "../../src/features/registry.ts";
import type { EndpointsIr } from "../../src/ir/routing.ts";
import type { TableDelta } from "../../src/ir/table-parts.ts";
import { systemClock } from "../../src/util/clock.ts";
import { ingress, rule, service, slice } from "./fake-source.ts";

test("every edit is published, by the way that fits it, and nothing stays open at the end", async () => {
  const directory = mkdtempSync(join(tmpdir(), "fairway-live-"));
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(directory, name), JSON.stringify(value, null, 2));
  const webWith = (path: string): unknown =>
    ingress("web", { rules: [rule("a.example", { [path]: ["web", 80] })] });
  write("service.json", service("web"));
  write("ingress.json", webWith("/"));
  write("slice.json", slice("web-1", "web", ["10.0.0.1"]));

  const published: string[] = [];
  let wake = (): void => {};
  const loop = new RebuildLoop({
    sources: [new DirectorySource({ directory, clock: systemClock })],
    translate: { ...defaultTranslateOptions, parsers: features, offline: true },
    clock: systemClock,
    publisher: {
      publishTable: (delta: TableDelta) =>
        void published.push(delta.virtualHosts.changed.at(-1)?.routes[0]?.path ?? ""),
      publishEndpoints: (changed: readonly EndpointsIr[]) =>
        void published.push(changed[0]?.addresses[0]?.address ?? ""),
    },
    onUpdate: () => wake(),
  });
  try {
    await loop.start();
    const seen = (value: string): Promise<void> =>
      new Promise((resolve) => {
        wake = () => {
          if (published.at(-1) === value) resolve();
        };
        wake();
      });
    const expected = ["/"];
    for (let turn = 1; turn <= 20; turn += 1) {
      const value = turn % 2 === 0 ? `/path-${turn}` : `10.0.0.${turn}`;
      if (turn % 2 === 0) write("ingress.json", webWith(value));
      else write("slice.json", slice("web-1", "web", [value]));
      if (turn > 1) await seen(value);
      // The first endpoint edit changes nothing: it is the address that is there.
      if (turn > 1) expected.push(value);
    }
    expect(published).toEqual(expected);
    expect(loop.state).toMatchObject({
      isReady: true,
      tables: 11,
      endpointUpdates: 9,
      failures: 0,
      diagnostics: [],
    });
  } finally {
    await loop.close();
    rmSync(directory, { recursive: true });
  }
  expect(process.getActiveResourcesInfo()).not.toContain("FSEventWrap");
});
