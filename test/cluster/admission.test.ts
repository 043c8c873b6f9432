// The validating webhook as a real API server asks it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { makeCertificate, makeCertificateAuthority } from "../../certs/make.ts";
import { ApiError } from "../../src/kube-api/errors.ts";
import { useCluster } from "./harness/cluster.ts";
import { eventually } from "./harness/eventually.ts";
import type { Fairway } from "./harness/fairway.ts";
import { ingressBody } from "./harness/pods.ts";

const cluster = useCluster();
const prefix = "nginx.ingress.kubernetes.io";
const webhookName = "validate.nginx.ingress.kubernetes.io";

interface Webhook {
  readonly fairway: Fairway;
  readonly caBundle: string;
  /** Puts a new certificate of the same authority in the files. */
  rotate(): Promise<void>;
}

async function startWebhook(): Promise<Webhook> {
  const directory = mkdtempSync(path.join(os.tmpdir(), "fairway-admission-"));
  cluster.onCleanUp(() => Promise.resolve(rmSync(directory, { recursive: true })));
  const authority = await makeCertificateAuthority();
  const files = { certificate: path.join(directory, "tls.crt"), key: path.join(directory, "tls.key") };
  const rotate = async (): Promise<void> => {
    const { chain, key } = await makeCertificate({ names: ["127.0.0.1"], ca: authority });
    writeFileSync(files.certificate, chain);
    writeFileSync(files.key, key);
  };
  await rotate();
  const fairway = await cluster.fairway([
    "--validating-webhook=127.0.0.1:0",
    `--validating-webhook-certificate=${files.certificate}`,
    `--validating-webhook-key=${files.key}`,
  ]);
  return { fairway, caBundle: Buffer.from(authority.certificate).toString("base64"), rotate };
}

async function configure({ fairway, caBundle }: Webhook, failurePolicy: "Fail" | "Ignore"): Promise<void> {
  const line = await fairway.process.line(/admission on port (\d+)/);
  const port = /admission on port (\d+)/.exec(line)?.[1] ?? "";
  await cluster.objects.put("ValidatingWebhookConfiguration", "", "fairway-admission", {
    webhooks: [
      {
        name: webhookName,
        clientConfig: { url: `https://127.0.0.1:${port}/networking/v1/ingresses`, caBundle },
        rules: [
          {
            apiGroups: ["networking.k8s.io"],
            apiVersions: ["v1"],
            resources: ["ingresses"],
            operations: ["CREATE", "UPDATE"],
          },
        ],
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        failurePolicy,
        timeoutSeconds: 5,
      },
    ],
  });
}

/** Empty: it was taken. */
async function tryCreate(name: string, body: Parameters<typeof cluster.objects.create>[3]): Promise<string> {
  try {
    await cluster.objects.create("Ingress", "admission", name, body);
    return "";
  } catch (cause) {
    if (cause instanceof ApiError) return cause.message;
    throw cause;
  }
}

test("refuses what would break with our words, whatever the certificate, and leaves alone what is not ours", async () => {
  const { objects } = cluster;
  await objects.namespace("admission");
  const webhook = await startWebhook();
  const broken = {
    ...ingressBody("broken.example", "web"),
    annotations: { [`${prefix}/ssl-redirect`]: "maybe" },
  };
  await configure(webhook, "Fail");
  // The API server learns of its webhooks a moment later.
  const refusal = await eventually(
    async () => {
      const message = await tryCreate("broken", broken);
      if (message !== "") return message;
      await objects.delete("Ingress", "admission", "broken");
      return null;
    },
    { what: "a refusal" },
  );
  expect(refusal).toMatch(
    /admission webhook "validate\.nginx\.ingress\.kubernetes\.io" denied the request: .*ssl-redirect.*"maybe" is not/,
  );
  expect(webhook.fairway.process.tail(1_000)).toContain(
    "admission: refused CREATE of Ingress admission/broken",
  );

  await objects.create("Ingress", "admission", "good", ingressBody("good.example", "web"));
  await webhook.fairway.answers("good.example", 503);
  expect(await tryCreate("thief", ingressBody("good.example", "web"))).toContain("Ingress admission/good");
  const spec = { ...(ingressBody("foreign.example", "web")["spec"] as object), ingressClassName: "other" };
  expect(await tryCreate("foreign", { ...broken, spec })).toBe("");

  // Requests go on while certificates come and go.
  let asked = 0;
  const rotations = new AbortController();
  const asking = (async () => {
    while (!rotations.signal.aborted) {
      expect(await tryCreate("broken", broken)).toContain("denied the request");
      asked += 1;
    }
  })();
  for (let turn = 1; turn <= 2; turn += 1) {
    await webhook.rotate();
    await eventually(
      () => Promise.resolve(count(webhook.fairway, "the certificate of the webhook was replaced") >= turn),
      { what: "the new certificate" },
    );
  }
  rotations.abort();
  await asking;
  expect(asked).toBeGreaterThan(20);
  expect(
    await webhook.fairway.metric('fairway_admission_reviews_total{outcome="foreign"}'),
  ).toBeGreaterThanOrEqual(1);

  // With nobody there the failurePolicy decides.
  await configure(webhook, "Ignore");
  await webhook.fairway.stop();
  await eventually(async () => (await tryCreate("broken", broken)) === "", {
    what: "an Ingress that nobody judged",
  });
  await objects.delete("ValidatingWebhookConfiguration", "", "fairway-admission");
});

function count({ process }: Fairway, text: string): number {
  return process.tail(1_000).split(text).length - 1;
}
