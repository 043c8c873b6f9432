// `fairway controller`: serves until it is told to end.
import type { controllerFlags, FlagValues, translateFlags } from "./flags.ts";
import { connect, fromCluster } from "./from-cluster.ts";
import { fromFiles } from "./from-files.ts";
import { standardErrorLog } from "./log.ts";
import { serve } from "./serve.ts";
import { leaveSoon, terminationSignal } from "./signals.ts";

export async function runController(
  values: FlagValues<typeof controllerFlags>,
  translate: FlagValues<typeof translateFlags>,
): Promise<void> {
  const log = standardErrorLog({ level: values.logLevel, format: values.logFormat });
  // Listened to from now on: a signal may come during the start.
  const signal = terminationSignal();
  const { healthCheckPath, manifests } = values;
  const isCluster = manifests.length === 0;
  const starting = serve({
    ...values,
    limits: {
      connectionsMax: values.connectionsMax,
      connectionsPerClientMax: values.connectionsPerClientMax,
      overloadEventLoopDelayMs: values.overloadEventLoopDelay,
      overloadMemoryShare: values.overloadMemory / 100,
    },
    translate: {
      ...(isCluster ? fromCluster(translate) : fromFiles(translate)),
      healthCheckPath,
      reservedPorts: [values.httpPort, values.httpsPort, values.healthzPort],
    },
    ...(isCluster ? { cluster: await connect(values) } : {}),
    ...(values.validatingWebhook === null
      ? {}
      : {
          admission: {
            ...values.validatingWebhook,
            certificate: values.validatingWebhookCertificate,
            key: values.validatingWebhookKey,
            pathConflicts: values.admissionPathConflicts,
          },
        }),
    log,
  });
  // An API server that is away may keep the start waiting for hours.
  const controller = await Promise.race([starting, signal.then(() => null)]);
  if (controller === null) {
    log.info(`${await signal}: ending before anything was served`);
    leaveSoon();
    return;
  }
  const { http, https, admin, webhook } = controller.ports;
  const admission = webhook === 0 ? "" : `; admission on port ${webhook}`;
  log.info(`serving HTTP on port ${http} and HTTPS on port ${https}; status on port ${admin}${admission}`);
  const name = await signal;
  const { shutdownGracePeriod, workerShutdownTimeout } = values;
  log.info(
    `${name}: serving for another ${shutdownGracePeriod} s, then draining for up to ${workerShutdownTimeout} s`,
  );
  const cut = await controller.shutDown(shutdownGracePeriod * 1000, workerShutdownTimeout * 1000);
  log.info(cut === 0 ? "all connections have ended" : `connections cut at the deadline: ${cut}`);
  leaveSoon();
}
