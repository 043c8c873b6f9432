// HTTP/1.1: one GET on a connection of its own. The status decides; redirections are statuses like any other.
import { Client, type Dispatcher } from "undici";
import type { HealthCheckSettings } from "../filter.ts";
import { originOf, probeFields, responseHeadMaxBytes, withClient } from "./client.ts";
import {
  describeProbe,
  failed,
  formatStatuses,
  outcomeOf,
  passed,
  type ProbeOutcome,
  type ProbeTarget,
} from "./probe.ts";

/** Read and thrown away, so that an endpoint can finish a usual answer; the connection is cut after that. */
const contentMaxBytes = 16 * 1024;

export async function probeHttp(
  target: ProbeTarget,
  settings: HealthCheckSettings,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const what = describeProbe(settings);
  const options = { pipelining: 1, maxHeaderSize: responseHeadMaxBytes };
  try {
    return await withClient(
      target,
      "http/1.1",
      (connect) => new Client(originOf(target), { ...options, connect, headersTimeout: 0, bodyTimeout: 0 }),
      async (client) => {
        const response = await client.request({
          method: "GET",
          path: settings.path,
          headers: probeFields(settings),
          // `Connection: close`.
          reset: true,
          signal,
        });
        await discard(response, signal);
        return judge(what, response.statusCode, settings);
      },
    );
  } catch (error) {
    return outcomeOf(error, what);
  }
}

function judge(what: string, status: number, { statuses }: HealthCheckSettings): ProbeOutcome {
  if (statuses.some(({ first, last }) => status >= first && status <= last)) return passed;
  return failed(`${what} answered ${status}, expected ${formatStatuses(statuses)}`);
}

/** The head has decided already: content that breaks off, or does not end in time, changes nothing. */
async function discard({ body }: Dispatcher.ResponseData, signal: AbortSignal): Promise<void> {
  await body.dump({ limit: contentMaxBytes, signal }).catch(() => undefined);
}
