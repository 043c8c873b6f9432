// What translate is told when objects come from files instead of an API server.
import { features } from "../features/registry.ts";
import type { FlagValues, translateFlags } from "./flags.ts";

export function fromFiles(values: FlagValues<typeof translateFlags>) {
  return {
    ...values,
    parsers: features,
    offline: true,
    healthCheckPath: "/healthz",
    reservedPorts: [],
  } as const;
}
