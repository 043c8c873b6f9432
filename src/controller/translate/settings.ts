// The controller's ConfigMap: each feature's defaults, and words about keys that do nothing.
import type { ObjectRef } from "../../ir/object-ref.ts";
import { compareText } from "../../ir/order.ts";
import type { ConnectionsIr } from "../../ir/routing.ts";
import { AnnotationReader } from "../annotations.ts";
import { refOf } from "../objects.ts";
import { suggestion } from "../suggest.ts";
import { connectionSettings, readConnections } from "./connections.ts";
import type { TranslateContext } from "./context.ts";
import { isProtectiveSetting, knownSettings } from "./known-settings.ts";

export interface Settings {
  /** Of each parser, in the order of `options.parsers`. */
  readonly byParser: readonly unknown[];
  /** Undefined: every default. */
  readonly connections: ConnectionsIr | undefined;
  /** Why every route is denied: a setting that protects and that we do not support. Null when there is none. */
  readonly denied: string | null;
}

export function translateSettings(context: TranslateContext): Settings {
  const { options, index } = context;
  const configMap = index.configMaps.get(options.configMap);
  if (configMap === undefined && options.configMap !== "") {
    context.report("warning", keyRef("ConfigMap", options.configMap), "", {
      reason: "ConfigMapNotFound",
      message: "it is named by --configmap but does not exist; every setting has its default",
    });
  }
  const source = {
    object: configMap === undefined ? keyRef("ConfigMap", options.configMap) : refOf(configMap),
    fieldPrefix: "data.",
    values: configMap?.data ?? new Map<string, string>(),
  };
  const denials = [...reportUnread(context, source.object, source.values)];
  return {
    byParser: options.parsers.map((parser) =>
      parser.parseSettings(new AnnotationReader(source, context.diagnostics, "the default applies")),
    ),
    connections: readConnections(new AnnotationReader(source, context.diagnostics, "the default applies")),
    denied: denials.length === 0 ? null : denials.join("; "),
  };
}

/** The reasons to deny. */
function* reportUnread(
  context: TranslateContext,
  object: ObjectRef,
  values: ReadonlyMap<string, string>,
): Iterable<string> {
  const supported = new Set([
    ...context.options.parsers.flatMap((parser) => Object.keys(parser.settings)),
    ...Object.keys(connectionSettings),
  ]);
  // Sorted, so that the reasons to deny do not depend on how the manifest was written.
  for (const [key, value] of [...values].sort(byKey)) {
    if (supported.has(key)) continue;
    if (isProtectiveSetting(key, value)) {
      context.report("error", object, `data.${key}`, {
        reason: "UnsupportedSetting",
        message:
          "Fairway does not support this setting, and without it every route would be open; all answer 503 until it is removed",
      });
      yield `data.${key} of the ConfigMap is not supported`;
      continue;
    }
    if (knownSettings.has(key)) {
      context.report("warning", object, `data.${key}`, {
        reason: "UnsupportedSetting",
        message: "Fairway does not support this setting of ingress-nginx; it has no effect",
      });
      continue;
    }
    const hint = suggestion(key, [...supported, ...knownSettings]);
    context.report("warning", object, `data.${key}`, {
      reason: "UnknownSetting",
      message: `there is no such setting${hint}; it has no effect`,
    });
  }
}

export function byKey(a: readonly [string, string], b: readonly [string, string]): number {
  return compareText(a[0], b[0]);
}

/** Of a `namespace/name` as flags write it. */
export function keyRef(kind: string, key: string): ObjectRef {
  const slash = key.indexOf("/");
  return { kind, namespace: slash < 0 ? "" : key.slice(0, slash), name: key.slice(slash + 1) };
}
