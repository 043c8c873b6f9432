// The ConfigMaps of TCP and UDP services: read and checked, so that mistakes are told, and each valid entry told to be
// served by nobody yet. Keys are ports, values `namespace/service:port[:PROXY][:PROXY]`.
import type { ObjectRef } from "../../ir/object-ref.ts";
import { quote } from "../annotations.ts";
import { isDnsLabel, isPortName } from "../names.ts";
import { refOf, type ConfigMapObject } from "../objects.ts";
import type { TranslateContext } from "./context.ts";
import { byKey, keyRef } from "./settings.ts";

type Protocol = "TCP" | "UDP";

export interface StreamService {
  /** `namespace/name`. */
  readonly service: string;
  /** Number or name, of the Service. */
  readonly port: string;
  /** Connections begin with a PROXY header that is taken off. */
  readonly decodesProxy: boolean;
  /** A PROXY header is sent to endpoints. */
  readonly encodesProxy: boolean;
}

export function checkStreamServices(context: TranslateContext): void {
  const { tcpServicesConfigMap, udpServicesConfigMap } = context.options;
  checkConfigMap(context, tcpServicesConfigMap, "TCP");
  checkConfigMap(context, udpServicesConfigMap, "UDP");
}

function checkConfigMap(context: TranslateContext, key: string, protocol: Protocol): void {
  if (key === "") return;
  const configMap = context.index.configMaps.get(key);
  if (configMap === undefined) {
    const flag = `--${protocol.toLowerCase()}-services-configmap`;
    context.report("warning", keyRef("ConfigMap", key), "", {
      reason: "ConfigMapNotFound",
      message: `it is named by ${flag} but does not exist; there are no ${protocol} services`,
    });
    return;
  }
  for (const entry of sortedEntries(configMap)) checkEntry(context, refOf(configMap), protocol, entry);
}

function sortedEntries({ data }: ConfigMapObject): readonly (readonly [string, string])[] {
  return [...data].sort(byKey);
}

function checkEntry(
  context: TranslateContext,
  object: ObjectRef,
  protocol: Protocol,
  [port, value]: readonly [string, string],
): void {
  const field = `data.${port}`;
  const problem = portProblem(port, protocol, context.options.reservedPorts) ?? valueProblem(value, protocol);
  if (problem !== null) {
    context.report("error", object, field, {
      reason: "InvalidStreamService",
      message: `${problem}; the entry is left out`,
    });
    return;
  }
  context.report("error", object, field, {
    reason: "UnsupportedStreamService",
    message: `Fairway does not serve ${protocol} services yet; nothing listens on port ${port}, expected to lead to ${value}`,
  });
}

function portProblem(port: string, protocol: Protocol, reserved: readonly number[]): string | null {
  const number = Number(port);
  if (!/^[1-9]\d{0,4}$/.test(port) || number > 65_535) {
    return `the key ${quote(port)} is no port, expected 1 to 65535`;
  }
  const isTaken = protocol === "TCP" && reserved.includes(number);
  return isTaken ? `port ${port} is one of Fairway's own, expected another` : null;
}

function valueProblem(value: string, protocol: Protocol): string | null {
  const service = parseStreamService(value);
  const expected = protocol === "TCP" ? "namespace/service:port[:PROXY][:PROXY]" : "namespace/service:port";
  if (service === null) return `found ${quote(value)}, expected ${expected}`;
  const isProxy = service.decodesProxy || service.encodesProxy;
  return isProxy && protocol === "UDP" ? `found ${quote(value)}, and PROXY is for TCP only` : null;
}

/** Null: it is none. */
export function parseStreamService(value: string): StreamService | null {
  const [name = "", port = "", decode = "", encode = "", ...rest] = value.trim().split(":");
  const [namespace = "", service = "", ...more] = name.split("/");
  if (rest.length > 0 || more.length > 0 || !isDnsLabel(namespace) || !isDnsLabel(service)) return null;
  const isPort = /^[1-9]\d{0,4}$/.test(port) ? Number(port) <= 65_535 : isPortName(port);
  const isWord = (word: string): boolean => word === "" || word.toUpperCase() === "PROXY";
  if (!isPort || !isWord(decode) || !isWord(encode)) return null;
  return { service: name, port, decodesProxy: decode !== "", encodesProxy: encode !== "" };
}
