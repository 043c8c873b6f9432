// The suite that needs a real control plane: run it by `npm run test:cluster`.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/cluster/**/*.test.ts"],
    testTimeout: 90_000,
    hookTimeout: 90_000,
    pool: "forks",
    // Each file starts control planes of its own; two at a time are enough for two cores.
    fileParallelism: false,
  },
});
