// The flags about what is written to the cluster, and by whom.
import type { Addresses } from "../controller/publish/addresses.ts";
import type { StatusMode } from "../controller/publish/status.ts";
import {
  boolean,
  duration,
  flag,
  namespacedName,
  objectName,
  publishedAddresses,
  seconds,
  statusMode,
} from "./flag-types.ts";

export const publishFlags = {
  publishService: flag({
    name: "publish-service",
    type: namespacedName,
    default: "",
    defaultText: "none",
    description: "The Service in front of Fairway: its addresses are the status of our Ingresses.",
    group: "What is written to the cluster",
  }),
  publishStatusAddress: flag<Addresses>({
    name: "publish-status-address",
    type: publishedAddresses,
    default: [],
    defaultText: "none",
    description:
      "Comma-separated addresses or names: the status of our Ingresses. Without it and --publish-service that is the addresses of the nodes with a pod of ours.",
    group: "What is written to the cluster",
  }),
  reportNodeInternalIpAddress: flag({
    name: "report-node-internal-ip-address",
    type: boolean,
    default: false,
    description: "Internal addresses of nodes in the status, even where there are external ones.",
    group: "What is written to the cluster",
  }),
  updateStatus: flag({
    name: "update-status",
    type: boolean,
    default: true,
    description: "Write the status of our Ingresses; false is --status=off.",
    group: "What is written to the cluster",
  }),
  status: flag<StatusMode>({
    name: "status",
    type: statusMode,
    default: "own",
    description:
      "own: write the status of our Ingresses. observe: only tell where it differs from what we would write, beside another controller. off: neither. (Fairway only)",
    group: "What is written to the cluster",
  }),
  updateStatusOnShutdown: flag({
    name: "update-status-on-shutdown",
    type: boolean,
    default: true,
    description:
      "Remove the status of our Ingresses on shutdown, unless other pods of ours run or there are several addresses.",
    group: "What is written to the cluster",
  }),
  statusUpdateInterval: flag({
    name: "status-update-interval",
    type: seconds,
    default: 60,
    description: "Seconds after which the addresses are looked up again; fewer than 5 count as 5.",
    group: "What is written to the cluster",
  }),
  electionId: flag({
    name: "election-id",
    type: objectName,
    default: "ingress-controller-leader",
    description: "Name of the Lease in our own namespace (POD_NAMESPACE) whose holder writes to the cluster.",
    group: "What is written to the cluster",
  }),
  electionTtl: flag({
    name: "election-ttl",
    type: duration,
    default: 30_000,
    defaultText: "30s",
    description: "How long the Lease lives without its holder: another replica takes over after that time.",
    group: "What is written to the cluster",
  }),
  disableLeaderElection: flag({
    name: "disable-leader-election",
    type: boolean,
    default: false,
    description: "Every replica writes to the cluster, without a Lease.",
    group: "What is written to the cluster",
  }),
};
