// Objects by kind and name, and EndpointSlices by the Service they belong to. The store keeps one up to date; translate
// reads it.
import { compareText } from "../ir/order.ts";
import {
  objectKey,
  type ConfigMapObject,
  type EndpointsObject,
  type EndpointSliceObject,
  type IngressClassObject,
  type IngressObject,
  type KubeObject,
  type ObjectKey,
  type SecretObject,
  type ServiceObject,
} from "./objects.ts";

export class ObjectIndex {
  /** False: the API server does not let us read IngressClasses. */
  areClassesReadable: boolean;
  readonly ingresses = new Map<ObjectKey, IngressObject>();
  /** By name. */
  readonly ingressClasses: Map<string, IngressClassObject>;
  readonly services: Map<ObjectKey, ServiceObject>;
  readonly endpoints: Map<ObjectKey, EndpointsObject>;
  readonly secrets = new Map<ObjectKey, SecretObject>();
  readonly configMaps: Map<ObjectKey, ConfigMapObject>;
  readonly #slicesByService: Map<ObjectKey, Map<string, EndpointSliceObject>>;

  /** `of`: what there is in it is here too, but for Ingresses and Secrets; to be read only. */
  constructor(of: ObjectIndex | null = null) {
    this.areClassesReadable = of?.areClassesReadable ?? true;
    this.ingressClasses = of?.ingressClasses ?? new Map();
    this.services = of?.services ?? new Map();
    this.endpoints = of?.endpoints ?? new Map();
    this.configMaps = of?.configMaps ?? new Map();
    this.#slicesByService = of === null ? new Map() : of.#slicesByService;
  }

  /** Adds an object; one of the same kind and name must have been removed before. */
  add(object: KubeObject): void {
    const { namespace, name } = object.meta;
    const key = objectKey(namespace, name);
    switch (object.kind) {
      case "Ingress":
        this.ingresses.set(key, object);
        break;
      case "IngressClass":
        this.ingressClasses.set(name, object);
        break;
      case "Service":
        this.services.set(key, object);
        break;
      case "Endpoints":
        this.endpoints.set(key, object);
        break;
      case "EndpointSlice":
        this.#addSlice(object);
        break;
      case "Secret":
        this.secrets.set(key, object);
        break;
      case "ConfigMap":
        this.configMaps.set(key, object);
        break;
      case "Namespace":
        break;
    }
  }

  remove(object: KubeObject): void {
    const { namespace, name } = object.meta;
    const key = objectKey(namespace, name);
    switch (object.kind) {
      case "Ingress":
        this.ingresses.delete(key);
        break;
      case "IngressClass":
        this.ingressClasses.delete(name);
        break;
      case "Service":
        this.services.delete(key);
        break;
      case "Endpoints":
        this.endpoints.delete(key);
        break;
      case "EndpointSlice":
        this.#removeSlice(object);
        break;
      case "Secret":
        this.secrets.delete(key);
        break;
      case "ConfigMap":
        this.configMaps.delete(key);
        break;
      case "Namespace":
        break;
    }
  }

  /** Sorted by name, so that the order of arrival does not show. */
  slicesOf(service: ObjectKey): readonly EndpointSliceObject[] {
    const slices = this.#slicesByService.get(service);
    return slices === undefined
      ? []
      : [...slices.values()].sort((a, b) => compareText(a.meta.name, b.meta.name));
  }

  /** The Services, existing or not, that slices or Endpoints name. */
  servicesWithEndpoints(): ReadonlySet<ObjectKey> {
    return new Set([...this.#slicesByService.keys(), ...this.endpoints.keys()]);
  }

  /** A slice or Endpoints name the Service. */
  hasEndpoints(service: ObjectKey): boolean {
    return this.#slicesByService.has(service) || this.endpoints.has(service);
  }

  #addSlice(slice: EndpointSliceObject): void {
    const service = serviceOf(slice);
    const slices = this.#slicesByService.get(service);
    if (slices === undefined) this.#slicesByService.set(service, new Map([[slice.meta.name, slice]]));
    else slices.set(slice.meta.name, slice);
  }

  #removeSlice(slice: EndpointSliceObject): void {
    const service = serviceOf(slice);
    const slices = this.#slicesByService.get(service);
    slices?.delete(slice.meta.name);
    if (slices?.size === 0) this.#slicesByService.delete(service);
  }
}

/** The key of the Service a slice belongs to; with an empty name when its label is missing. */
export function serviceOf(slice: EndpointSliceObject): ObjectKey {
  return objectKey(slice.meta.namespace, slice.service);
}
