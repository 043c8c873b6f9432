import { describe, expect, test } from "vitest";
import { bodySize } from "../../src/features/body-size/body-size.ts";
import { requestBuffering } from "../../src/features/request-buffering/request-buffering.ts";
import { responseBuffering } from "../../src/features/response-buffering/response-buffering.ts";
import { retries } from "../../src/features/retries/retries.ts";
import { timeouts } from "../../src/features/timeouts/timeouts.ts";
import { defaultRouteSettings } from "../../src/proxy/routing/compile-host.ts";
import { compiledRoute, parseFeature, snapshotWith, type Values } from "./feature-harness.ts";

describe("timeouts", () => {
  const settingsFor = (annotations: Values, configMap: Values) => {
    const { features } = parseFeature(timeouts, annotations, configMap);
    const { connectTimeoutMs, sendTimeoutMs, readTimeoutMs, requestTimeoutMs } = compiledRoute(
      snapshotWith({ features }),
    ).settings;
    return requestTimeoutMs === 0
      ? [connectTimeoutMs, sendTimeoutMs, readTimeoutMs]
      : [connectTimeoutMs, sendTimeoutMs, readTimeoutMs, requestTimeoutMs];
  };

  test.each([
    [{}, {}, [5_000, 60_000, 60_000]],
    [{ "proxy-connect-timeout": "2" }, {}, [2_000, 60_000, 60_000]],
    [{ "proxy-send-timeout": "3" }, {}, [5_000, 3_000, 60_000]],
    [{ "proxy-read-timeout": "3600" }, {}, [5_000, 60_000, 3_600_000]],
    [{}, { "proxy-connect-timeout": "7", "proxy-read-timeout": "9" }, [7_000, 60_000, 9_000]],
    [{ "proxy-read-timeout": "1" }, { "proxy-read-timeout": "9" }, [5_000, 60_000, 1_000]],
    [{ "proxy-read-timeout": "5s" }, { "proxy-read-timeout": "9" }, [5_000, 60_000, 9_000]],
    [{ "proxy-read-timeout": "0" }, {}, [5_000, 60_000, 60_000]],
    [{ "fairway.dev/request-timeout": "4" }, {}, [5_000, 60_000, 60_000, 4_000]],
    [{}, { "request-timeout": "4" }, [5_000, 60_000, 60_000, 4_000]],
    [{ "fairway.dev/request-timeout": "0" }, { "/request-timeout": "4" }, [5_000, 60_000, 60_000]],
  ])("%j over %j are %j ms", (annotations: Values, configMap: Values, expected) => {
    expect(settingsFor(annotations, configMap)).toEqual(expected);
  });

  test.each(["5s", "1.5", "-1", "0", "1O", "99999999999"])("reports %j", (value) => {
    const { diagnostics } = parseFeature(timeouts, { "proxy-read-timeout": value });
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(`proxy-read-timeout: InvalidInteger: "${value}" is not an integer`);
  });
});

describe("body-size", () => {
  const limitFor = (annotations: Values, configMap: Values): number => {
    const { features } = parseFeature(bodySize, annotations, configMap);
    return compiledRoute(snapshotWith({ features })).settings.contentMaxBytes;
  };

  test.each([
    [{}, {}, 1_048_576],
    [{ "proxy-body-size": "8m" }, {}, 8_388_608],
    [{ "proxy-body-size": "8M" }, {}, 8_388_608],
    [{ "proxy-body-size": "10k" }, {}, 10_240],
    [{ "proxy-body-size": "2g" }, {}, 2_147_483_648],
    [{ "proxy-body-size": "100" }, {}, 100],
    [{ "proxy-body-size": "0" }, {}, 0],
    [{}, { "proxy-body-size": "5m" }, 5_242_880],
    [{ "proxy-body-size": "0" }, { "proxy-body-size": "5m" }, 0],
    [{ "proxy-body-size": "8 MB" }, { "proxy-body-size": "5m" }, 5_242_880],
  ])("%j over %j is %i bytes", (annotations: Values, configMap: Values, expected) => {
    expect(limitFor(annotations, configMap)).toBe(expected);
  });

  test.each(["8mb", "-1", "1.5m", "unlimited", "8 m"])("reports %j", (value) => {
    const { diagnostics } = parseFeature(bodySize, { "proxy-body-size": value });
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(`proxy-body-size: InvalidSize: "${value}" is not a number of bytes`);
  });
});

describe("request-buffering", () => {
  const bufferFor = (annotations: Values, configMap: Values): number => {
    const { features } = parseFeature(requestBuffering, annotations, configMap);
    return compiledRoute(snapshotWith({ features })).settings.contentBufferMaxBytes;
  };

  test.each([
    [{}, {}, 8_192],
    [{ "proxy-request-buffering": "off" }, {}, 0],
    [{ "proxy-request-buffering": "off", "client-body-buffer-size": "1m" }, {}, 0],
    [{ "client-body-buffer-size": "1m" }, {}, 1_048_576],
    [{ "client-body-buffer-size": "1000" }, {}, 1_000],
    [{}, { "client-body-buffer-size": "16k" }, 16_384],
    [{}, { "proxy-request-buffering": "off" }, 0],
    [{ "proxy-request-buffering": "on" }, { "proxy-request-buffering": "off" }, 8_192],
    [{ "proxy-request-buffering": "On" }, { "proxy-request-buffering": "off" }, 0],
    [{ "client-body-buffer-size": "8kb" }, { "client-body-buffer-size": "16k" }, 16_384],
  ])("%j over %j keeps %i bytes", (annotations: Values, configMap: Values, expected) => {
    expect(bufferFor(annotations, configMap)).toBe(expected);
  });

  test.each([
    ["proxy-request-buffering", "true", "InvalidValue"],
    ["client-body-buffer-size", "1b", "InvalidSize"],
  ])("reports %s: %s", (key, value, reason) => {
    const { diagnostics } = parseFeature(requestBuffering, { [key]: value });
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(`${key}: ${reason}`);
  });
});

test("the defaults of the features are those of the compiler", () => {
  const features = [timeouts, retries, bodySize, requestBuffering].flatMap(
    (feature) => parseFeature(feature, {}).features,
  );
  expect(compiledRoute(snapshotWith({ features })).settings).toEqual(defaultRouteSettings);
});

describe("response-buffering", () => {
  const mebibyte = 1024 * 1024;
  const settingsFor = (annotations: Values, configMap: Values): readonly [boolean, number] => {
    const { features } = parseFeature(responseBuffering, annotations, configMap);
    const { readsAhead, readAheadMaxBytes } = compiledRoute(snapshotWith({ features })).settings;
    return [readsAhead, readAheadMaxBytes];
  };

  test("has the defaults of a route without it", () => {
    const { readsAhead, readAheadMaxBytes } = defaultRouteSettings;
    expect(settingsFor({}, {})).toEqual([readsAhead, readAheadMaxBytes]);
    expect(settingsFor({}, { "proxy-buffer-size": "8k" })[1]).toBe(4 * 8192 + mebibyte);
  });

  test.each<readonly [Values, Values, boolean, number]>([
    [{ "proxy-buffering": "on" }, {}, true, 16_384 + mebibyte],
    [{}, { "proxy-buffering": "on" }, true, 16_384 + mebibyte],
    [{ "proxy-buffering": "off" }, { "proxy-buffering": "on" }, false, 16_384 + mebibyte],
    [{ "proxy-buffers-number": "8", "proxy-buffer-size": "16k" }, {}, false, 131_072 + mebibyte],
    [{ "proxy-buffering": "on", "proxy-max-temp-file-size": "0" }, {}, true, 16_384],
    [{ "proxy-buffering": "on", "proxy-max-temp-file-size": "64k" }, {}, true, 81_920],
    [{ "proxy-buffering": "on", "proxy-max-temp-file-size": "2g" }, {}, true, 16_384 + mebibyte],
    [{ "proxy-max-temp-file-size": "1m" }, { "proxy-max-temp-file-size": "0" }, false, 16_384 + mebibyte],
    [{ "proxy-buffer-size": "8kb" }, { "proxy-buffer-size": "8k" }, false, 32_768 + mebibyte],
  ])("%j over %j: on %s, %i bytes", (annotations, configMap, isOn, bytes) => {
    expect(settingsFor(annotations, configMap)).toEqual([isOn, bytes]);
  });

  test.each([
    ["proxy-buffering", "yes", 'InvalidValue: "yes" is not one of "on", "off"'],
    ["proxy-buffers-number", "0", 'InvalidInteger: "0" is not an integer from 1'],
    ["proxy-buffer-size", "0", 'InvalidSize: "0" is not more than 0 bytes'],
    ["proxy-buffer-size", "128k", "HeadLimitStays: heads of responses may have 32k"],
    ["proxy-max-temp-file-size", "1mb", 'InvalidSize: "1mb" is not a number of bytes'],
  ])("reports %s: %s", (key, value, message) => {
    const { diagnostics } = parseFeature(responseBuffering, { [key]: value });
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(`${key}: ${message}`);
  });
});
