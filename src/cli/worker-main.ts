// The entry of a worker thread: a proxy with all features. worker-pool.ts starts it.
import { runWorker } from "../proxy/worker/worker.ts";
import { featureRuntimes } from "./feature-runtimes.ts";

runWorker(featureRuntimes);
