// Settings of an upstream to its policy: cookie affinity comes before hashing, and hashing before `load-balance`.
import type { CompiledUpstreamSettings } from "../../routing/snapshot.ts";
import { Rotation } from "../rotation.ts";
import type { BalancedEndpoint, Balancer, BalancerServices, Policy, PolicyServices } from "./balancer.ts";
import { ConsistentHash } from "./consistent-hash.ts";
import { Ewma } from "./ewma.ts";
import { LeastRequest } from "./least-request.ts";
import { RoundRobin } from "./round-robin.ts";
import { StickyBalanced } from "./sticky-balanced.ts";
import { StickyPersistent } from "./sticky-persistent.ts";
import { SubsetHash } from "./subset-hash.ts";
import { UpstreamBalancer } from "./upstream-balancer.ts";

export function createBalancer<E extends BalancedEndpoint>(
  settings: CompiledUpstreamSettings,
  services: BalancerServices<E>,
): Balancer<E> {
  const rotation = new Rotation<E>(services.source, settings, services.clock);
  const shared = { ...services, rotation };
  return new UpstreamBalancer(createPolicy(settings, shared), createPolicy(settings, shared), rotation);
}

function createPolicy<E extends BalancedEndpoint>(
  settings: CompiledUpstreamSettings,
  services: PolicyServices<E>,
): Policy<E> {
  const { affinity, hash, policy, slowStartMs, name } = settings;
  if (affinity !== null) {
    return affinity.mode === "persistent"
      ? new StickyPersistent(services, affinity, { slowStartMs, salt: name })
      : new StickyBalanced(services, affinity);
  }
  if (hash !== null) {
    return hash.subsetSize > 0 ? new SubsetHash(services, hash) : new ConsistentHash(services, hash);
  }
  switch (policy) {
    case "round_robin":
      return new RoundRobin(services, slowStartMs);
    case "ewma":
      return new Ewma(services, slowStartMs);
    case "least_request":
      return new LeastRequest(services, slowStartMs);
  }
}
