import { expect, test } from "vitest";
import { ok, startBackend, startProxy } from "../proxy/harness.ts";
import { features } from "../../src/features/registry.ts";
import { defaultTranslateOptions } from "../../src/controller/translate/options.ts";
import { translate } from "../../src/controller/translate/translate.ts";

test("the health page answers 200 without content for hosts without a rule, and only there", async () => {
  const options = { ...defaultTranslateOptions, parsers: features, healthCheckPath: "/healthz" };
  const { ir } = translate([], options);
  const backend = await startBackend();
  backend.answer(() => ok());
  const proxy = await startProxy({
    ir,
    runtimes: new Map(features.map((each) => [each.name, each.runtime])),
  });
  const healthy = await proxy.roundTrip("GET /healthz HTTP/1.1\r\nHost: probe\r\n\r\n");
  expect(healthy.head).toMatch(/^HTTP\/1\.1 200 OK\r\nDate: [^\r]*\r\nContent-Length: 0\r\n\r\n$/);
  const status = async (path: string): Promise<readonly [number, string]> => {
    const response = await proxy.roundTrip(`GET ${path} HTTP/1.1\r\nHost: probe\r\n\r\n`);
    return [response.status, response.content.toString()];
  };
  expect(await status("/healthz")).toEqual([200, ""]);
  expect((await status("/healthz/x"))[0]).toBe(404);
  expect((await status("/"))[0]).toBe(404);
});
