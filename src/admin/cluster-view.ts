// What is written to the cluster, for /debug/cluster.

export interface ClusterView {
  /** Of this replica. */
  readonly identity: string;
  /** This replica writes. */
  readonly isLeader: boolean;
  /** Null: there is no election. An empty holder: nobody, as far as we know. */
  readonly lease: { readonly name: string; readonly holder: string } | null;
  readonly status: {
    readonly mode: string;
    /** Null: not known. */
    readonly addresses: string | null;
    /** The first of them. */
    readonly differences: readonly { readonly ingress: string; readonly found: string }[];
  };
}

export function formatCluster({ identity, isLeader, lease, status }: ClusterView): string {
  const { mode, addresses, differences } = status;
  return [
    `replica    ${identity}`,
    `writes     ${isLeader ? "yes" : "no"}`,
    `lease      ${lease === null ? "no election" : lease.name}`,
    `holder     ${lease === null ? "-" : lease.holder === "" ? "nobody" : lease.holder}`,
    `status     ${mode}`,
    `addresses  ${addresses === null ? "not known" : addresses === "" ? "none" : addresses}`,
    ...(mode === "off" || differences.length === 0
      ? []
      : ["", "Ingresses whose status differs:"].concat(
          differences.map(({ ingress, found }) => `  ${ingress}  ${found === "" ? "none" : found}`),
        )),
  ].join("\n");
}
