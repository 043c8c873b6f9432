// `fairway controller`: serves until it is told to end.
import type { controllerFlags, FlagValues, translateFlags } from "./flags.ts";
import { fromFiles } from "./from-files.ts";
import { standardErrorLog } from "./log.ts";
import { serve } from "./serve.ts";
import { leaveSoon, terminationSignal } from "./signals.ts";

export async function runController(
  values: FlagValues<typeof controllerFlags>,
  translate: FlagValues<typeof translateFlags>,
): Promise<void> {
  const log = standardErrorLog({ level: values.logLevel, format: values.logFormat });
  // Listened to from now on: a signal during the start ends the program as soon as it has started.
  const signal = terminationSignal();
  const controller = await serve({
    ...values,
    limits: {
      connectionsMax: values.connectionsMax,
      connectionsPerClientMax: values.connectionsPerClientMax,
      overloadEventLoopDelayMs: values.overloadEventLoopDelay,
      overloadMemoryShare: values.overloadMemory / 100,
    },
    translate: { ...fromFiles(translate), healthCheckPath: values.healthCheckPath },
    log,
  });
  const { http, https, admin } = controller.ports;
  log.info(`serving HTTP on port ${http} and HTTPS on port ${https}; status on port ${admin}`);
  const name = await signal;
  const { shutdownGracePeriod, workerShutdownTimeout } = values;
  log.info(
    `${name}: serving for another ${shutdownGracePeriod} s, then draining for up to ${workerShutdownTimeout} s`,
  );
  const cut = await controller.shutDown(shutdownGracePeriod * 1000, workerShutdownTimeout * 1000);
  log.info(cut === 0 ? "all connections have ended" : `connections cut at the deadline: ${cut}`);
  leaveSoon();
}
