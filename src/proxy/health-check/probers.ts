// A prober for each kind of check. undici takes 30 MB of memory, so it is loaded when the first check needs it.
import { assertNever } from "../../util/assert.ts";
import type { Prober } from "./probe.ts";
import { probeTcp } from "./tcp-probe.ts";

export const systemProber: Prober = async (target, settings, signal) => {
  switch (settings.kind) {
    case "http": {
      const { probeHttp } = await import("./http-probe.ts");
      return probeHttp(target, settings, signal);
    }
    case "tcp":
      return probeTcp(target, settings, signal);
    case "grpc": {
      const { probeGrpc } = await import("./grpc-probe.ts");
      return probeGrpc(target, settings, signal);
    }
    default:
      return assertNever(settings.kind);
  }
};
