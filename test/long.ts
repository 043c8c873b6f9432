// `npm run test:long`: what `npm test` has no time for. Generated messages against Node's parser and through a running
// proxy, messages cut at every offset, every attack over TLS as well, clients and endpoints that misbehave. It prints
// the seed; `FUZZ_SEED=<seed> npm run test:long` repeats a run.
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";

const seed = process.env["FUZZ_SEED"] ?? String(randomInt(1, 2 ** 31));
const factor = process.env["FUZZ_FACTOR"] ?? "20";
const files = ["test/http1", "test/proxy/splits.test.ts", "test/proxy/chaos.test.ts"];

const vitest = path.join(
  path.dirname(createRequire(import.meta.url).resolve("vitest/package.json")),
  "vitest.mjs",
);
console.log(`Seed ${seed}; to repeat: FUZZ_SEED=${seed} npm run test:long`);
const startedAt = performance.now();
const { status } = spawnSync(process.execPath, [vitest, "run", "--reporter=dot", ...files], {
  stdio: "inherit",
  env: { ...process.env, FUZZ_SEED: seed, FUZZ_FACTOR: factor },
});
console.log(`Seed ${seed}, ${Math.round((performance.now() - startedAt) / 1000)} s`);
process.exit(status ?? 1);
