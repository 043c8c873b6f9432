// Which API server to talk to, by the flags and the environment.
import { isIPv6 } from "node:net";
import { AccessError, noAccess, serverOf, type Access } from "./access.ts";
import { loadKubeconfig } from "./kubeconfig.ts";
import type { Clock } from "../util/clock.ts";

export interface AccessOptions {
  /** `--kubeconfig`; empty: none. */
  readonly kubeconfig: string;
  /** `--apiserver-host`; empty: none. Wins over the address in a kubeconfig. */
  readonly apiserverHost: string;
  /** `--certificate-authority`, for `apiserverHost`; empty: none. */
  readonly certificateAuthority: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Where a pod finds its service account. */
  readonly serviceAccount?: string;
}

const defaultServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

/** By the same rules as ingress-nginx: without kubeconfig and address, the service account of the pod we run in. */
export async function findAccess(options: AccessOptions): Promise<Access> {
  const { kubeconfig, apiserverHost, certificateAuthority } = options;
  if (kubeconfig === "" && apiserverHost === "") return inCluster(options);
  const found =
    kubeconfig === "" ? { ...noAccess, server: "" } : await loadKubeconfig(kubeconfig, options.clock);
  if (apiserverHost === "") return found;
  return {
    ...found,
    server: serverOf(apiserverHost, "--apiserver-host"),
    ...(certificateAuthority === "" ? {} : { certificateAuthority: { file: certificateAuthority } }),
  };
}

function inCluster({ env, serviceAccount = defaultServiceAccount }: AccessOptions): Access {
  const host = env["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "";
  if (host === "" || port === "") {
    throw new AccessError(
      "there is no API server to read from: this is no pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set), and neither --kubeconfig, --apiserver-host nor --manifests is given",
    );
  }
  return {
    ...noAccess,
    server: serverOf(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`, "KUBERNETES_SERVICE_HOST"),
    certificateAuthority: { file: `${serviceAccount}/ca.crt` },
    token: { file: `${serviceAccount}/token` },
  };
}
