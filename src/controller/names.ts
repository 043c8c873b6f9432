// Names as Kubernetes validates them.

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** RFC 1123 label: of namespaces and Services. */
export function isDnsLabel(text: string): boolean {
  return label.test(text);
}

/** RFC 1123 subdomain: of most other objects, and of hosts. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && subdomain.test(text);
}

/** IANA service name: of ports. */
export function isPortName(text: string): boolean {
  return text.length <= 15 && isDnsLabel(text) && /[a-z]/.test(text) && !text.includes("--");
}

export function isPortNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535;
}

/** What is wrong with a lower-case host of an Ingress, in words that follow it; null when it is valid. */
export function hostProblem(host: string): string | null {
  if (/^\[|:.*:/.test(host) || /^\d+(\.\d+){3}$/.test(host)) return "is an IP address";
  if (/:\d*$/.test(host)) return "has a port";
  if (host.endsWith(".")) return "ends in a dot";
  const name = host.startsWith("*.") ? host.slice(2) : host;
  if (name.includes("*")) return `has a "*" that is not its whole first label`;
  if (name.length > 253) return "is longer than 253 characters";
  if (name.split(".").some((each) => each.length > 63)) return "has a label longer than 63 characters";
  return isDnsSubdomain(name) ? null : "is not a DNS name";
}
