// The flags of the validating webhook.
import type { PathConflicts } from "../controller/admission/judge.ts";
import { file, flag, listenAddress, pathConflicts } from "./flag-types.ts";

export const admissionFlags = {
  validatingWebhook: flag({
    name: "validating-webhook",
    type: listenAddress,
    default: null,
    defaultText: "none",
    description: "Address and port of the validating webhook for Ingresses.",
    group: "Admission",
  }),
  validatingWebhookCertificate: flag({
    name: "validating-webhook-certificate",
    type: file,
    default: "",
    defaultText: "none",
    description: "The webhook's certificate, PEM; read again when it changes.",
    group: "Admission",
  }),
  validatingWebhookKey: flag({
    name: "validating-webhook-key",
    type: file,
    default: "",
    defaultText: "none",
    description: "The key of that certificate, PEM.",
    group: "Admission",
  }),
  admissionPathConflicts: flag<PathConflicts>({
    name: "admission-path-conflicts",
    type: pathConflicts,
    default: "refuse",
    description:
      "What the webhook does with a path that another Ingress has: refuse, refuse-other-namespace or warn. (Fairway only)",
    group: "Admission",
  }),
};
