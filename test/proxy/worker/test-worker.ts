// The entry of worker threads in tests: features that name the worker, and features that break it.
import { workerData } from "node:worker_threads";
import type { FeatureRuntime } from "../../../src/proxy/filter.ts";
import type { WorkerStart } from "../../../src/proxy/worker/protocol.ts";
import { runWorker } from "../../../src/proxy/worker/worker.ts";

const { worker } = workerData as WorkerStart;

runWorker(
  new Map<string, FeatureRuntime<unknown>>([
    [
      "name",
      {
        createFilter: () => ({
          responseFields: [{ name: "x-worker", value: String(worker), onlyOverTls: false }],
        }),
      },
    ],
    ["upstream-settings", { applyUpstream: (settings, config) => void Object.assign(settings, config) }],
    [
      "spin",
      {
        createFilter: () => ({
          answer: () => {
            for (;;);
          },
        }),
      },
    ],
    [
      "busy",
      {
        createFilter: () => ({
          answer: () => {
            const until = performance.now() + 150;
            while (performance.now() < until);
            return null;
          },
        }),
      },
    ],
    [
      "crash",
      {
        createFilter: () => ({
          answer: () => {
            setImmediate(() => {
              throw new Error("a crash that a test asked for");
            });
            return null;
          },
        }),
      },
    ],
  ]),
);
