import { describe, expect, test } from "vitest";
import {
  addressesText,
  loadBalancerAddresses,
  nodeAddresses,
  publishedAddress,
  serviceAddresses,
  sortAddresses,
} from "../../../src/controller/publish/addresses.ts";

const balancer = { loadBalancer: { ingress: [{ ip: "203.0.113.2" }, { hostname: "lb.example" }] } };

test.each([
  ["ExternalName", { type: "ExternalName", externalName: "Lb.Example." }, "lb.example"],
  ["ExternalName that is an address", { type: "ExternalName", externalName: "203.0.113.7" }, "203.0.113.7"],
  ["ClusterIP", { type: "ClusterIP", clusterIP: "10.96.0.1", externalIPs: ["203.0.113.9"] }, "10.96.0.1"],
  ["headless", { clusterIP: "None" }, ""],
  ["NodePort", { type: "NodePort", clusterIP: "10.96.0.1" }, "10.96.0.1"],
  [
    "NodePort with external addresses",
    { type: "NodePort", clusterIP: "10.96.0.1", externalIPs: ["203.0.113.9", "203.0.113.8"] },
    "203.0.113.8, 203.0.113.9",
  ],
  [
    "LoadBalancer",
    { type: "LoadBalancer", clusterIP: "10.96.0.1", externalIPs: ["203.0.113.2", "203.0.113.1"] },
    "203.0.113.1, 203.0.113.2, lb.example",
  ],
])("a Service of type %s", (_, spec, expected) => {
  expect(addressesText(serviceAddresses({ spec, status: balancer }))).toBe(expected);
});

test("a LoadBalancer without addresses yet has none", () => {
  expect(serviceAddresses({ spec: { type: "LoadBalancer", clusterIP: "10.96.0.1" }, status: {} })).toEqual(
    [],
  );
});

describe("a node", () => {
  const node = {
    status: {
      addresses: [
        { type: "InternalIP", address: "10.0.0.1" },
        { type: "Hostname", address: "node-1" },
        { type: "ExternalIP", address: "203.0.113.1" },
      ],
    },
  };
  test("has its external address", () => {
    expect(addressesText(nodeAddresses(node, false))).toBe("203.0.113.1");
  });
  test("has its internal one when asked for, or when there is no other", () => {
    expect(addressesText(nodeAddresses(node, true))).toBe("10.0.0.1");
    const internal = { status: { addresses: node.status.addresses.slice(0, 2) } };
    expect(addressesText(nodeAddresses(internal, false))).toBe("10.0.0.1");
  });
});

test("lists compare without regard to order, repetition and ports", () => {
  const a = { ip: "203.0.113.1", hostname: "" };
  const b = { ip: "203.0.113.2", hostname: "b.example" };
  expect(sortAddresses([b, a, b])).toEqual([a, b]);
  const ingress = [
    { ip: "203.0.113.2", hostname: "b.example", ports: [{ port: 80, protocol: "TCP" }] },
    { ip: "203.0.113.1" },
    {},
  ];
  expect(loadBalancerAddresses({ status: { loadBalancer: { ingress } } })).toEqual([a, b]);
});

test.each([null, undefined, 1, "x", {}, { status: 1 }, { status: { loadBalancer: [1] } }])(
  "%j has no addresses",
  (value) => {
    expect(loadBalancerAddresses(value)).toEqual([]);
    expect(serviceAddresses(value)).toEqual([]);
    expect(nodeAddresses(value, false)).toEqual([]);
  },
);

test("what is neither address nor name is none", () => {
  for (const text of ["", "a_b", "-a", "a b", "*.example", "1.2.3.4:80"])
    expect(publishedAddress(text)).toBeNull();
});
