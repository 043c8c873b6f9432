// SIGTERM (Kubernetes) and SIGINT (Ctrl-C) as a promise.

/** Resolves with the first of the two. Later ones change nothing: the shutdown has its own deadline. */
export function terminationSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on("SIGTERM", resolve);
    process.on("SIGINT", resolve);
  });
}
