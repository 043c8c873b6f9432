// The health page on the data ports, for load balancers that probe them: 200 on the catch-all host. Translate puts the
// feature on a route of its own; there are no annotations, and no redirect to HTTPS stands before it.
import type { Answer } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";

const healthy: Answer = { status: 200, fields: [], reason: "health check" };

export const healthCheck = defineFeature<Record<string, never>, undefined>({
  name: "health-check",
  onInvalid: "ignore",
  annotations: {},
  settings: {},
  parseSettings: () => undefined,
  parse: () => undefined,
  runtime: { createFilter: () => ({ answer: () => healthy }) },
});
