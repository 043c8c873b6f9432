// How to reach an API server and who we are there: from the service account of a pod, a kubeconfig or an address.
// Files are named here and read later, again and again, because tokens and certificates are replaced while we run.

/** Text from a file that may be replaced, or as it stands. */
export type Material = { readonly file: string } | { readonly text: string };

/** A program that prints credentials (client.authentication.k8s.io). */
export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** How to get the program; shown when it is missing. */
  readonly installHint: string;
}

export interface Access {
  /** Scheme, host and port, and a path when the API is below one; without a slash at the end. */
  readonly server: string;
  /** Null: the certificate authorities that Node.js knows. */
  readonly certificateAuthority: Material | null;
  /** The server's certificate is not checked: only for trials. */
  readonly isInsecure: boolean;
  /** The name in the server's certificate; empty: that of the address. */
  readonly serverName: string;
  readonly token: Material | null;
  readonly clientCertificate: Material | null;
  readonly clientKey: Material | null;
  /** User and password of HTTP Basic. */
  readonly basic: { readonly user: string; readonly password: string } | null;
  readonly exec: ExecPlugin | null;
}

/** The message says what is wrong and where. */
export class AccessError extends Error {}

export const noAccess: Omit<Access, "server"> = {
  certificateAuthority: null,
  isInsecure: false,
  serverName: "",
  token: null,
  clientCertificate: null,
  clientKey: null,
  basic: null,
  exec: null,
};

/** `where` names the value in the message. */
export function serverOf(text: string, where: string): string {
  // `host:port` is how it was written before there were schemes; the client of Go takes it as http.
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : null;
  if (
    url === null ||
    !["http:", "https:"].includes(url.protocol) ||
    url.hostname === "" ||
    url.search !== ""
  ) {
    throw new AccessError(
      `${where}: found ${JSON.stringify(text)}, expected an address such as https://10.0.0.1:6443`,
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}
