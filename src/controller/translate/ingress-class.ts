// Which Ingresses are ours, by the rules of ingress-nginx.
import { quote } from "../annotations.ts";
import type { ObjectIndex } from "../object-index.ts";
import type { IngressClassObject, IngressObject } from "../objects.ts";
import type { TranslateOptions } from "./options.ts";

const classAnnotation = "kubernetes.io/ingress.class";
const defaultClassAnnotation = "ingressclass.kubernetes.io/is-default-class";

/** Null: the Ingress is ours; else why it is not. */
export function foreignBecause(
  ingress: IngressObject,
  index: ObjectIndex,
  options: Omit<TranslateOptions, "lastGoodCertificates">,
): string | null {
  // Without the right to read classes ingress-nginx goes by annotations alone.
  if (ingress.ingressClassName !== null && index.areClassesReadable) {
    return judgeClassName(ingress.ingressClassName, index, options);
  }
  const annotation = ingress.meta.annotations.get(classAnnotation);
  if (annotation !== undefined) {
    return annotation === options.ingressClass
      ? null
      : `its annotation ${classAnnotation} is ${quote(annotation)}, not ${quote(options.ingressClass)}`;
  }
  if (options.watchIngressWithoutClass) return null;
  if (!options.offline) return "it has no class";
  const defaultClass = findDefaultClass(index);
  if (defaultClass === null) return "it has no spec.ingressClassName, and no IngressClass is the default";
  return isOurClass(defaultClass, options)
    ? null
    : `it has no spec.ingressClassName, and the default, IngressClass ${defaultClass.meta.name}, is of another controller`;
}

function judgeClassName(
  name: string,
  index: ObjectIndex,
  options: Omit<TranslateOptions, "lastGoodCertificates">,
): string | null {
  const found = index.ingressClasses.get(name);
  if (found !== undefined) {
    return isOurClass(found, options)
      ? null
      : `IngressClass ${name} is of controller ${quote(found.controller)}, not ${quote(options.controllerClass)}`;
  }
  const isImplied = options.offline && index.ingressClasses.size === 0 && name === options.ingressClass;
  return isImplied ? null : `there is no IngressClass ${quote(name)}`;
}

export function isOurClass(
  found: IngressClassObject,
  options: Omit<TranslateOptions, "lastGoodCertificates">,
): boolean {
  if (found.controller === options.controllerClass) return true;
  return options.ingressClassByName && found.meta.name === options.ingressClass;
}

/** As the API server chooses: the youngest of the default classes, then the first by name. */
function findDefaultClass(index: ObjectIndex): IngressClassObject | null {
  let best: IngressClassObject | null = null;
  for (const each of index.ingressClasses.values()) {
    if (each.meta.annotations.get(defaultClassAnnotation) !== "true") continue;
    if (best === null || isPreferred(each, best)) best = each;
  }
  return best;
}

function isPreferred(a: IngressClassObject, b: IngressClassObject): boolean {
  // Normalised ISO 8601 compares as text.
  if (a.meta.createdAt !== b.meta.createdAt) return a.meta.createdAt > b.meta.createdAt;
  return a.meta.name < b.meta.name;
}
