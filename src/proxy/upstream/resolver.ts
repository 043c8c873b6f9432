// Addresses of ExternalName Services: the name is resolved again and again, and the last good answer stays while
// resolution fails. The system's resolver is asked, so that search domains and /etc/hosts count as they do elsewhere.
import { lookup } from "node:dns/promises";
import { isIPv4 } from "node:net";
import type { DnsTargetIr, EndpointIr } from "../../ir/routing.ts";
import { classifyAddress, parseAddress } from "../../util/addresses.ts";
import type { Cancel, Clock } from "../../util/clock.ts";

/** Between two resolutions of a name. The system's resolver tells no time to live. */
export const resolveIntervalMs = 5_000;

export type Lookup = (hostname: string) => Promise<readonly { address: string; family: number }[]>;

const systemLookup: Lookup = (hostname) => lookup(hostname, { all: true, order: "verbatim" });

export interface ResolverOptions {
  readonly clock: Clock;
  /** Default: the system's. */
  readonly lookup?: Lookup;
  /** For machines whose endpoints are local, such as a demo. */
  readonly allowsLoopback: boolean;
}

/**
 * Keeps one name resolved until closed. `onAddresses` is called with each different answer, and with no addresses when
 * the first try fails.
 */
export class Resolution {
  readonly #options: ResolverOptions;
  readonly #target: DnsTargetIr;
  readonly #onAddresses: (endpoints: readonly EndpointIr[]) => void;
  readonly #cancel: Cancel;
  /** The last answer; null before the first. */
  #last: string | null = null;
  #isAsking = false;
  #isClosed = false;
  /** Why the last resolution failed; empty when it did not. */
  failure = "";

  constructor(
    target: DnsTargetIr,
    options: ResolverOptions,
    onAddresses: (endpoints: readonly EndpointIr[]) => void,
  ) {
    this.#target = target;
    this.#options = options;
    this.#onAddresses = onAddresses;
    this.#cancel = options.clock.every(resolveIntervalMs, () => void this.resolve());
    // Failures are kept in `failure`; nothing to wait for.
    void this.resolve();
  }

  async resolve(): Promise<void> {
    // One lookup at a time, so that no old answer follows a new one.
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const found = await (this.#options.lookup ?? systemLookup)(this.#target.hostname);
      if (this.#isClosed) return;
      this.#accept(found.map(({ address }) => address));
    } catch (cause) {
      if (!this.#isClosed) this.#fail(cause instanceof Error ? cause.message : String(cause));
    } finally {
      this.#isAsking = false;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  /** IPv4 first; IPv6 only when there is no IPv4, as ingress-nginx does. */
  #accept(addresses: readonly string[]): void {
    const allowed = addresses.filter((address) => this.#isAllowed(address));
    if (allowed.length === 0) {
      this.#fail(addresses.length === 0 ? "no addresses" : `refused addresses: ${addresses.join(", ")}`);
      return;
    }
    this.failure = "";
    const ipv4 = allowed.filter((address) => isIPv4(address));
    const used = [...new Set(ipv4.length > 0 ? ipv4 : allowed)].sort();
    const key = used.join(" ");
    if (key === this.#last) return;
    this.#last = key;
    this.#onAddresses(used.map((address) => ({ address, port: this.#target.port, weight: 1 })));
  }

  /** The last good answer stays. */
  #fail(failure: string): void {
    this.failure = failure;
    if (this.#last !== null) return;
    this.#last = "";
    this.#onAddresses([]);
  }

  /** The rule for addresses in EndpointSlices, since a name can lead to the same places. */
  #isAllowed(address: string): boolean {
    // A link-local address of IPv6 carries its zone.
    const bytes = parseAddress(address.replace(/%.*$/, ""));
    if (bytes === null) return false;
    const kind = classifyAddress(bytes);
    return kind === "ordinary" || (kind === "loopback" && this.#options.allowsLoopback);
  }
}
