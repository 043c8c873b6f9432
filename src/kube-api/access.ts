// How to reach an API server and who we are there: from the service account of a pod, a kubeconfig or an address.
// Files are named here and read later, again and again, because tokens and certificates are replaced while we run.
import type http from "node:http";

/** Text from a file that may be replaced, or as it stands. */
export type Material = { readonly file: string } | { readonly text: string };

export interface Credentials {
  /** Fields of every request, in lower case: `authorization`, `impersonate-user`. */
  readonly headers: Readonly<Record<string, string>>;
  /** PEM; null: the certificate authorities that Node.js knows. */
  readonly ca: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
  /** Makes the connections, through a proxy; null: they are made directly. */
  readonly agent: http.Agent | null;
}

export interface CredentialsSource {
  /** `isRefused`: what the last call gave was not accepted. */
  read(isRefused: boolean): Promise<Credentials>;
}

export interface Access {
  /** Scheme, host and port, and a path when the API is below one; without a slash at the end. */
  readonly server: string;
  /** Comes before that of a kubeconfig. Null: that one, or else those that Node.js knows. */
  readonly certificateAuthority: Material | null;
  /** The server's certificate is not checked: only for trials. */
  readonly isInsecure: boolean;
  /** The name in the server's certificate; empty: that of the address. */
  readonly serverName: string;
  readonly token: Material | null;
  /** Null: the fields above are all there is. */
  readonly kubeconfig: CredentialsSource | null;
}

/** The message says what is wrong and where. */
export class AccessError extends Error {}

export const noAccess: Omit<Access, "server"> = {
  certificateAuthority: null,
  isInsecure: false,
  serverName: "",
  token: null,
  kubeconfig: null,
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
