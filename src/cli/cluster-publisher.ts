// Everything that is written to the cluster, put together: the election decides who writes; status and Events are
// written. Tells the log, the metrics and the admin page of it.
import { randomUUID } from "node:crypto";
import type { ClusterView } from "../admin/cluster-view.ts";
import { EventWriter } from "../controller/publish/events.ts";
import { LeaderElection } from "../controller/publish/leader.ts";
import { KubernetesLease } from "../controller/publish/lease.ts";
import { ObservedObjects } from "../controller/publish/observed.ts";
import { OwnPods, type OwnPod } from "../controller/publish/own-pods.ts";
import { StatusApi } from "../controller/publish/status-api.ts";
import { StatusWriter, type StatusMode } from "../controller/publish/status.ts";
import type { Addresses } from "../controller/publish/addresses.ts";
import type { KubeKind, ObjectKey } from "../controller/objects.ts";
import type { Diagnostic } from "../ir/diagnostic.ts";
import type { ApiClient } from "../kube-api/client.ts";
import { RequestLimit } from "../kube-api/request-limit.ts";
import type { PublishMetrics } from "../metrics/publish-metrics.ts";
import { systemClock } from "../util/clock.ts";
import type { FlagValues } from "./flags.ts";
import type { Log } from "./log.ts";
import type { publishFlags } from "./publish-flags.ts";

export interface ClusterPublisherOptions {
  readonly client: ApiClient;
  readonly values: FlagValues<typeof publishFlags>;
  /** Empty names: we do not run in a pod, or are not told in which. */
  readonly pod: OwnPod;
  readonly log: Log;
  readonly metrics: PublishMetrics;
  /** Keys of the Ingresses that are ours. */
  readonly ours: () => Iterable<ObjectKey>;
}

/** Writes of each kind, a second and at once. */
const statusPerSecond = 100;
const eventsPerSecond = 10;
const eventsBurst = 50;
/** The same trouble is logged once in this time. */
const logGapMs = 60_000;
const refreshMinSeconds = 5;
const differencesShown = 100;
/** Then the Lease runs out by itself. */
const closeMaxMs = 4_000;

export class ClusterPublisher {
  readonly #options: ClusterPublisherOptions;
  readonly #observed: ObservedObjects;
  readonly #pods: OwnPods;
  readonly #election: LeaderElection | null;
  readonly #status: StatusWriter;
  readonly #events: EventWriter;
  readonly #identity: string;
  readonly #loggedAtMs = new Map<string, number>();
  #isClosed = false;

  constructor(options: ClusterPublisherOptions) {
    const { client, values, pod } = options;
    this.#options = options;
    // Two pods of one name may run for a while, when one of them is on a node that is cut off.
    this.#identity = `${pod.name === "" ? "fairway" : pod.name}_${randomUUID()}`;
    this.#observed = new ObservedObjects(values.publishService);
    this.#pods = new OwnPods(client, pod);
    this.#election = values.disableLeaderElection || pod.namespace === "" ? null : this.#makeElection();
    this.#status = this.#makeStatus();
    this.#events = this.#makeEvents();
    this.#observed.onIngress = () => this.#status.touch();
    this.#observed.onService = () => this.#status.refresh();
  }

  /** To be told of every object that is read. */
  observe(kind: KubeKind, key: ObjectKey, value: unknown): void {
    this.#observed.observe(kind, key, value);
  }

  start(): void {
    const { values, pod, log } = this.#options;
    if (!values.disableLeaderElection && pod.namespace === "") {
      log.warning(
        "nothing is written to the cluster, neither status nor Events: POD_NAMESPACE is not set, so there is no place for the Lease that says which replica writes; set it, or --disable-leader-election",
      );
    }
    this.#election?.start();
    this.#status.start();
    this.#events.start();
  }

  /** A table was built: other Ingresses may be ours now. */
  tableBuilt(): void {
    this.#status.touch();
  }

  diagnosticsChanged(diagnostics: readonly Diagnostic[]): void {
    this.#events.update(diagnostics);
  }

  /** While the proxy still serves: whoever goes by the status is to go elsewhere first. Never rejects. */
  async removeStatus(): Promise<void> {
    const { values, pod, log } = this.#options;
    await this.#status.stop();
    if (!values.updateStatusOnShutdown || this.#mode !== "own" || !this.#isLeader()) return;
    if (pod.name === "") {
      log.info(
        "status is left as it is: POD_NAME is not set, so that other pods of ours cannot be looked for",
      );
      return;
    }
    try {
      if (await this.#pods.areOthersRunning()) {
        log.info("status is left as it is: other pods of ours run");
        return;
      }
    } catch (cause) {
      log.warning(`status is left as it is: pods cannot be read: ${messageOf(cause)}`);
      return;
    }
    const removed = await this.#status.remove();
    if (removed > 0) log.info(`status removed from Ingresses: ${removed}`);
  }

  /** The Lease is given back last: nobody else writes before we are done. An API server that is away is not waited for. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const timeout = Promise.withResolvers<void>();
    const cancel = systemClock.after(closeMaxMs, timeout.resolve);
    await Promise.race([this.#stop(), timeout.promise]);
    cancel();
  }

  async #stop(): Promise<void> {
    await this.#status.stop();
    await this.#events.stop();
    await this.#election?.stop();
  }

  view(): ClusterView {
    const { values } = this.#options;
    return {
      identity: this.#identity,
      isLeader: this.#isLeader(),
      lease: this.#election === null ? null : { name: values.electionId, holder: this.#election.holder },
      status: {
        mode: this.#mode,
        addresses: this.#status.addresses,
        differences: this.#status.listDifferences(differencesShown),
      },
    };
  }

  get #mode(): StatusMode {
    const { status, updateStatus } = this.#options.values;
    return status === "own" && !updateStatus ? "off" : status;
  }

  #isLeader(): boolean {
    const { disableLeaderElection } = this.#options.values;
    return this.#election === null ? disableLeaderElection : this.#election.isLeader;
  }

  #makeElection(): LeaderElection {
    const { client, values, pod, log, metrics } = this.#options;
    metrics.setLeader(values.electionId, false);
    return new LeaderElection({
      api: new KubernetesLease(client, pod.namespace, values.electionId),
      identity: this.#identity,
      ttlMs: values.electionTtl,
      clock: systemClock,
      now: () => new Date(),
      random: Math.random,
      onChange: (isLeader, holder) => {
        metrics.setLeader(values.electionId, isLeader);
        log.info(
          isLeader ? "this replica is the leader" : `the leader is ${holder === "" ? "nobody" : holder}`,
        );
        if (!isLeader) return;
        this.#status.refresh();
        this.#events.look();
      },
      onError: (cause) => {
        metrics.electionFailed();
        this.#logSeldom("election", `Lease ${pod.namespace}/${values.electionId}: ${messageOf(cause)}`);
      },
    });
  }

  #makeStatus(): StatusWriter {
    const { client, values, log, metrics, ours } = this.#options;
    const api = new StatusApi(client);
    return new StatusWriter({
      mode: this.#mode,
      clock: systemClock,
      random: Math.random,
      limit: new RequestLimit(statusPerSecond, statusPerSecond, systemClock),
      readAddresses: () => this.#readAddresses(),
      refreshEveryMs: Math.max(refreshMinSeconds, values.statusUpdateInterval) * 1_000,
      ingresses: {
        ours,
        find: (key) => this.#observed.ingress(key),
        observe: (key, value) => this.#observed.observe("Ingress", key, value),
      },
      isLeader: () => this.#isLeader(),
      write: (key, uid, addresses) => api.write(key, uid, addresses),
      listener: {
        written: () => metrics.statusWritten("success"),
        failed: (key, failure) => {
          metrics.statusWritten("failure");
          this.#logSeldom(`status ${failure.kind}`, `status of Ingress ${key}: ${failure.message}`);
        },
        addresses: (text) =>
          log.info(
            text === null ? "our addresses are not known" : `our addresses: ${text === "" ? "none" : text}`,
          ),
        addressesFailed: (cause) =>
          this.#logSeldom("addresses", `our addresses cannot be read: ${messageOf(cause)}`),
        differences: (count) => this.#onDifferences(count),
      },
    });
  }

  #onDifferences(count: number): void {
    this.#options.metrics.setStatusDifferences(count);
    if (this.#mode !== "observe") return;
    this.#options.log.info(
      count === 0
        ? "status is as we would write it"
        : `Ingresses whose status is other than we would write it: ${count} (/debug/cluster lists them)`,
    );
  }

  #makeEvents(): EventWriter {
    const { client, metrics } = this.#options;
    return new EventWriter({
      client,
      clock: systemClock,
      now: () => new Date(),
      random: Math.random,
      limit: new RequestLimit(eventsPerSecond, eventsBurst, systemClock),
      isLeader: () => this.#isLeader(),
      uidOf: (ref) => this.#observed.uidOf(ref),
      identity: this.#identity,
      listener: {
        written: () => metrics.event("written"),
        failed: (failure) => {
          metrics.event("failed");
          this.#logSeldom(`events ${failure.kind}`, `an Event could not be written: ${failure.message}`);
        },
        dropped: (count) => metrics.event("delayed", count),
      },
    });
  }

  async #readAddresses(): Promise<Addresses | null> {
    const { values, pod } = this.#options;
    if (values.publishStatusAddress.length > 0) return values.publishStatusAddress;
    if (values.publishService !== "") {
      const addresses = this.#observed.serviceAddresses;
      if (addresses === null) {
        this.#logSeldom("service", `Service ${values.publishService} of --publish-service does not exist`);
      }
      return addresses;
    }
    if (pod.name === "" || pod.namespace === "") {
      this.#logSeldom(
        "pod",
        "status is left as it is: without POD_NAME and POD_NAMESPACE our own pods cannot be found; set them, --publish-service or --publish-status-address",
      );
      return null;
    }
    return await this.#pods.nodeAddresses(values.reportNodeInternalIpAddress);
  }

  #logSeldom(about: string, text: string): void {
    const nowMs = systemClock.nowMs();
    if (nowMs - (this.#loggedAtMs.get(about) ?? -Infinity) < logGapMs) return;
    this.#loggedAtMs.set(about, nowMs);
    this.#options.log.warning(text);
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
