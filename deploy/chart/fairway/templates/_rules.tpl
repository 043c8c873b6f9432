{{/* What the program may do, and where. Everything is read by list and watch, single objects too, so no rule needs get. */}}

{{/* Rules by namespace, as YAML: objects that flags name, and, where one namespace is watched, all that is read there. */}}
{{- define "fairway.rolesByNamespace" -}}
{{- $flags := include "fairway.flags" . | fromYaml -}}
{{- $watched := include "fairway.watchNamespace" . -}}
{{- $roles := dict -}}
{{- if $watched -}}
{{- $_ := set $roles $watched (include "fairway.watchedRules" . | fromYamlArray) -}}
{{- end -}}
{{- $named := list (dict "flag" "configmap" "resource" "configmaps") -}}
{{- if $watched -}}
{{- $named = append $named (dict "flag" "default-ssl-certificate" "resource" "secrets") -}}
{{- $named = append $named (dict "flag" "default-backend-service" "resource" "services") -}}
{{- end -}}
{{- range $named -}}
{{- $parts := get $flags .flag | default "" | splitList "/" -}}
{{- if eq (len $parts) 2 -}}
{{- $namespace := index $parts 0 -}}
{{- $rules := get $roles $namespace | default list -}}
{{- if or (eq .resource "configmaps") (ne $namespace $watched) -}}
{{- $rules = append $rules (dict "apiGroups" (list "") "resources" (list .resource) "resourceNames" (list (index $parts 1)) "verbs" (list "list" "watch")) -}}
{{- if eq .resource "services" -}}
{{- $rules = append $rules (dict "apiGroups" (list "discovery.k8s.io") "resources" (list "endpointslices") "verbs" (list "list" "watch")) -}}
{{- end -}}
{{- $_ := set $roles $namespace $rules -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $roles -}}
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
{{- end -}}
