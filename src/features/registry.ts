// The only list of features. Its order is the order in which their filters run.
import type { AnyFeature } from "./feature.ts";
import { affinity } from "./affinity/affinity.ts";
import { sessionCookie } from "./affinity/session-cookie.ts";
import { bodySize } from "./body-size/body-size.ts";
import { canary } from "./canary/canary.ts";
import { healthCheck } from "./health-check/health-check.ts";
import { hsts } from "./hsts/hsts.ts";
import { loadBalance } from "./load-balance/load-balance.ts";
import { outliers } from "./outliers/outliers.ts";
import { requestBuffering } from "./request-buffering/request-buffering.ts";
import { responseBuffering } from "./response-buffering/response-buffering.ts";
import { retries } from "./retries/retries.ts";
import { sslRedirect } from "./ssl-redirect/ssl-redirect.ts";
import { timeouts } from "./timeouts/timeouts.ts";
import { upstreamHealthCheck } from "./upstream-health-check/upstream-health-check.ts";
import { upstreamHash } from "./upstream-hash/upstream-hash.ts";

export const features: readonly AnyFeature[] = [
  healthCheck,
  hsts,
  sslRedirect,
  timeouts,
  retries,
  bodySize,
  requestBuffering,
  responseBuffering,
  canary,
  loadBalance,
  upstreamHash,
  affinity,
  sessionCookie,
  outliers,
  upstreamHealthCheck,
];
