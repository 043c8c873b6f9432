// Connections to endpoints, one pool for each `address:port`, shared by every route and snapshot. The last one used is
// the first one taken again, so that a burst's surplus ages out.
import type { ErrorCode } from "../errors.ts";
import { ClientConnection } from "../http1/client-connection.ts";
import type { UpstreamEvents } from "../ports.ts";
import type { EndpointHealth } from "./health.ts";
import type {
  ConnectionOwner,
  PooledConnection,
  PoolServices,
  UpstreamTimeouts,
} from "./connection-owner.ts";

/** Connection errors whose cause is this machine. */
const ownShortage = /\b(?:EMFILE|ENFILE|ENOBUFS|ENOMEM|EADDRNOTAVAIL|EAGAIN)\b/;

export class EndpointPool implements ConnectionOwner {
  readonly endpoint: EndpointHealth;
  readonly services: PoolServices;
  readonly #pools: UpstreamPools;
  readonly #idle: PooledConnection[] = [];
  #open = 0;
  #isRetired = false;

  constructor(pools: UpstreamPools, services: PoolServices, endpoint: EndpointHealth) {
    this.#pools = pools;
    this.services = services;
    this.endpoint = endpoint;
  }

  get address(): string {
    return this.endpoint.address;
  }

  get port(): number {
    return this.endpoint.port;
  }

  get key(): string {
    return this.endpoint.key;
  }

  get open(): number {
    return this.#open;
  }

  get idle(): number {
    return this.#idle.length;
  }

  /**
   * Gets a connection for one exchange. With an idle one, `onUpstreamConnected` is called before this returns.
   * `mustBeNew` is for retries of requests that a stale connection lost.
   */
  connect(events: UpstreamEvents, timeouts: UpstreamTimeouts, mustBeNew: boolean): PooledConnection {
    this.services.metrics.upstreamActive += 1;
    const idle = mustBeNew ? undefined : this.#takeIdle();
    if (idle !== undefined) {
      idle.reuse(events, timeouts);
      events.onUpstreamConnected(idle);
      return idle;
    }
    this.#open += 1;
    this.services.metrics.upstreamOpened += 1;
    return new ClientConnection(this, events, timeouts);
  }

  putIdle(connection: PooledConnection): void {
    this.services.metrics.upstreamActive -= 1;
    this.services.metrics.upstreamIdle += 1;
    this.#idle.push(connection);
    this.#pools.idleCount += 1;
    if (this.#isRetired || this.#pools.idleCount > this.services.limits.idleUpstreamMax) {
      // The oldest of this pool goes; with a single one that is the connection itself.
      this.#idle[0]?.destroy();
    }
  }

  onAlive(): void {
    this.endpoint.succeeded();
  }

  onExchangeFailed(detail: string): void {
    this.endpoint.failed(detail);
  }

  onConnectFailed(code: ErrorCode, detail: string): void {
    this.services.metrics.upstreamConnectFailures += 1;
    if (ownShortage.test(detail)) {
      // No descriptors or ports left on our side: the endpoint is not to blame.
      this.endpoint.abandoned();
      return;
    }
    this.endpoint.failed(code === "upstreamConnectTimeout" ? "connect timeout" : detail);
  }

  onClosed(connection: PooledConnection): void {
    this.#open -= 1;
    if (connection.isIdle) {
      const index = this.#idle.indexOf(connection);
      if (index >= 0) {
        this.#idle.splice(index, 1);
        this.#pools.idleCount -= 1;
        this.services.metrics.upstreamIdle -= 1;
        return;
      }
    }
    this.services.metrics.upstreamActive -= 1;
  }

  /** The endpoint is in no table any more: idle connections close now, busy ones after their exchange. */
  retire(): void {
    this.#isRetired = true;
    // Closing takes the connection off the list.
    for (let last = this.#idle.at(-1); last !== undefined; last = this.#idle.at(-1)) last.destroy();
  }

  #takeIdle(): PooledConnection | undefined {
    const connection = this.#idle.pop();
    if (connection === undefined) return undefined;
    this.#pools.idleCount -= 1;
    this.services.metrics.upstreamIdle -= 1;
    return connection;
  }
}

export class UpstreamPools {
  idleCount = 0;
  readonly #services: PoolServices;
  /** By identity: the registry of health has one object for each address and port. */
  readonly #pools = new Map<EndpointHealth, EndpointPool>();

  constructor(services: PoolServices) {
    this.#services = services;
  }

  get(endpoint: EndpointHealth): EndpointPool {
    let pool = this.#pools.get(endpoint);
    if (pool === undefined) {
      pool = new EndpointPool(this, this.#services, endpoint);
      this.#pools.set(endpoint, pool);
    }
    return pool;
  }

  /** Retires every pool whose endpoint nobody holds any more. */
  retain(isHeld: (endpoint: EndpointHealth) => boolean): void {
    for (const [endpoint, pool] of this.#pools) {
      if (isHeld(endpoint)) continue;
      pool.retire();
      this.#pools.delete(endpoint);
    }
  }

  /** Closes every idle connection. */
  close(): void {
    this.retain(() => false);
  }

  *[Symbol.iterator](): Iterator<EndpointPool> {
    yield* this.#pools.values();
  }
}
