// The suite that needs a real control plane: run it by `npm run test:cluster`.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/cluster/**/*.test.ts"],
    testTimeout: 90_000,
    hookTimeout: 90_000,
    pool: "forks",
    // Each file has a control plane of its own, of about 450 MB. The long ones mostly wait.
    maxWorkers: 3,
  },
});
