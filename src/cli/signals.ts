// SIGTERM (Kubernetes) and SIGINT (Ctrl-C) as a promise.

/** Resolves with the first of the two. Later ones change nothing: the shutdown has its own deadline. */
export function terminationSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on("SIGTERM", resolve);
    process.on("SIGINT", resolve);
  });
}

/** How long what nobody needs any more may hold the process after its end. */
const lingerMaxMs = 1_000;

/** The work is done: a look-up of a name that never answers must not keep the process. */
export function leaveSoon(): void {
  setTimeout(() => process.exit(), lingerMaxMs).unref();
}
