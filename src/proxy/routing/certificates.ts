// Which certificates a TLS handshake may use. Pure; called by the listener for each handshake.
import type { CertificateIr } from "../../ir/routing.ts";
import type { RoutingTable } from "./snapshot.ts";

const none: readonly CertificateIr[] = [];

/**
 * For a server name as the client sent it (RFC 6066, 3), empty without one: those of the exact host, else of `*.` and its
 * parent, else none, which stands for the default certificate. A host whose own Secret is broken has none either: it hides
 * the wildcard, since a certificate that another Ingress brought is not what its owner configured.
 */
export function certificatesFor(table: RoutingTable, serverName: string): readonly CertificateIr[] {
  const lower = serverName.toLowerCase();
  const name = lower.endsWith(".") ? lower.slice(0, -1) : lower;
  const exact = table.exactHosts.get(name);
  if (exact?.isTls === true) return exact.certificates;
  const dot = name.indexOf(".");
  if (dot <= 0) return none;
  const wildcard = table.wildcardHosts.get(name.slice(dot));
  return wildcard?.isTls === true ? wildcard.certificates : none;
}
