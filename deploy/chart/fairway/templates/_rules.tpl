{{/* What the program may do, and where. What is served is read by list and watch, single objects too. What is written:
docs/cluster.md. */}}

{{/* Rules by namespace, as YAML: the election and our own pods, objects that flags name, and, where one namespace is
watched, all that is read and written there. */}}
{{- define "fairway.rolesByNamespace" -}}
{{- $flags := include "fairway.flags" . | fromYaml -}}
{{- $watched := include "fairway.watchNamespace" . -}}
{{- $roles := dict .Release.Namespace (include "fairway.ownRules" . | fromYamlArray) -}}
{{- if $watched -}}
{{- $_ := set $roles $watched (concat (get $roles $watched | default list) (include "fairway.watchedRules" . | fromYamlArray)) -}}
{{- end -}}
{{- $named := list -}}
{{- range list "configmap" "tcp-services-configmap" "udp-services-configmap" -}}
{{- $named = append $named (dict "flag" . "resource" "configmaps") -}}
{{- end -}}
{{- if $watched -}}
{{- $named = append $named (dict "flag" "default-ssl-certificate" "resource" "secrets") -}}
{{- $named = append $named (dict "flag" "default-backend-service" "resource" "services") -}}
{{- $named = append $named (dict "flag" "publish-service" "resource" "services") -}}
{{- end -}}
{{- range $named -}}
{{- $parts := get $flags .flag | default "" | splitList "/" -}}
{{- if eq (len $parts) 2 -}}
{{- $namespace := index $parts 0 -}}
{{- $rules := get $roles $namespace | default list -}}
{{- if or (eq .resource "configmaps") (ne $namespace $watched) -}}
{{- $rules = append $rules (dict "apiGroups" (list "") "resources" (list .resource) "resourceNames" (list (index $parts 1)) "verbs" (list "list" "watch")) -}}
{{- if eq .flag "default-backend-service" -}}
{{- $rules = append $rules (dict "apiGroups" (list "discovery.k8s.io") "resources" (list "endpointslices") "verbs" (list "list" "watch")) -}}
{{- end -}}
{{- $_ := set $roles $namespace $rules -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $roles -}}
{{- end -}}

{{/* In the namespace of the pods: the Lease, our own pods, and Events about the ConfigMap. */}}
{{- define "fairway.ownRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ get (include "fairway.flags" . | fromYaml) "election-id" }}]
  verbs: [get, update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* In the namespaces whose Ingresses are served. */}}
{{- define "fairway.watchedRules" -}}
- apiGroups: [""]
  resources: [services, secrets]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* In no namespace. */}}
{{- define "fairway.clusterRules" -}}
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [list, watch]
{{- if and .Values.controller.scope.enabled .Values.controller.scope.namespaceSelector }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}
{{- $flags := include "fairway.flags" . | fromYaml }}
{{- if not (or (hasKey $flags "publish-service") (hasKey $flags "publish-status-address")) }}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get]
{{- end }}
{{- end -}}
