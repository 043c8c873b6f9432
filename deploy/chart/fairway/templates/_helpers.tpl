{{- define "fairway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "fairway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "fairway.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "fairway.controllerName" -}}
{{- printf "%s-controller" (include "fairway.fullname" .) -}}
{{- end -}}

{{- define "fairway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "fairway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* Of pods. Without versions: pods of ours are alike by their labels, also while a new version replaces another. */}}
{{- define "fairway.podLabels" -}}
{{ include "fairway.selectorLabels" . }}
{{- with mergeOverwrite (deepCopy .Values.commonLabels) .Values.controller.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "fairway.labels" -}}
{{ include "fairway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ include "fairway.name" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "fairway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "fairway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "fairway.admissionSecret" -}}
{{- default (printf "%s-admission" (include "fairway.fullname" .)) .Values.controller.admissionWebhooks.existingSecret.name -}}
{{- end -}}

{{- define "fairway.image" -}}
{{- $image := .Values.controller.image -}}
{{- if $image.registry }}{{ $image.registry }}/{{ end }}{{ $image.image }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{- define "fairway.httpPort" -}}
{{- .Values.controller.containerPort.http | int | default (ternary 80 8080 .Values.controller.hostNetwork) -}}
{{- end -}}

{{- define "fairway.httpsPort" -}}
{{- .Values.controller.containerPort.https | int | default (ternary 443 8443 .Values.controller.hostNetwork) -}}
{{- end -}}

{{- define "fairway.hasLowPorts" -}}
{{- if or (lt (include "fairway.httpPort" . | int) 1024) (lt (include "fairway.httpsPort" . | int) 1024) -}}true{{- end -}}
{{- end -}}

{{/* The namespace whose objects are read; empty: all. */}}
{{- define "fairway.watchNamespace" -}}
{{- $scope := .Values.controller.scope -}}
{{- if and $scope.enabled (not $scope.namespaceSelector) -}}
{{- default .Release.Namespace $scope.namespace -}}
{{- end -}}
{{- end -}}

{{/* Numbers are floating-point ones in Helm, and a million would be 1e+06. */}}
{{- define "fairway.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{/* The flags as a YAML map of names and values. */}}
{{- define "fairway.flags" -}}
{{- $controller := .Values.controller -}}
{{- $flags := dict
  "configmap" (printf "%s/%s" .Release.Namespace (include "fairway.controllerName" .))
  "ingress-class" (default $controller.ingressClassResource.name $controller.ingressClass)
  "controller-class" $controller.ingressClassResource.controllerValue
  "http-port" (include "fairway.httpPort" .)
  "https-port" (include "fairway.httpsPort" .)
  "healthz-port" (toString $controller.metrics.port)
  "election-id" (printf "%s-leader" (include "fairway.fullname" .))
-}}
{{- $publish := $controller.publishService -}}
{{- $own := ternary (printf "%s/%s" .Release.Namespace (include "fairway.controllerName" .)) "" $controller.service.enabled -}}
{{- $service := default $own $publish.pathOverride -}}
{{- if and $publish.enabled $service (not (hasKey $controller.extraArgs "publish-status-address")) -}}
{{- $_ := set $flags "publish-service" $service -}}
{{- end -}}
{{- if $controller.ingressClassByName }}{{- $_ := set $flags "ingress-class-by-name" "true" }}{{- end -}}
{{- if $controller.watchIngressWithoutClass }}{{- $_ := set $flags "watch-ingress-without-class" "true" }}{{- end -}}
{{- if $controller.scope.enabled -}}
{{- if $controller.scope.namespaceSelector -}}
{{- $_ := set $flags "watch-namespace-selector" $controller.scope.namespaceSelector -}}
{{- else -}}
{{- $_ := set $flags "watch-namespace" (include "fairway.watchNamespace" .) -}}
{{- end -}}
{{- end -}}
{{- if $controller.admissionWebhooks.enabled -}}
{{- $_ := set $flags "validating-webhook" (printf ":%v" $controller.admissionWebhooks.port) -}}
{{- $_ := set $flags "validating-webhook-certificate" "/etc/fairway/webhook/tls.crt" -}}
{{- $_ := set $flags "validating-webhook-key" "/etc/fairway/webhook/tls.key" -}}
{{- end -}}
{{- range $name, $value := $controller.extraArgs -}}
{{- $_ := set $flags $name (default "true" (include "fairway.scalar" $value)) -}}
{{- end -}}
{{- $_ := set $flags "shutdown-grace-period" (get $flags "shutdown-grace-period" | default (toString $controller.shutdownGracePeriod)) -}}
{{- $rest := sub (sub ($controller.terminationGracePeriodSeconds | int) (get $flags "shutdown-grace-period" | int)) 5 -}}
{{- if lt $rest 1 -}}
{{- fail (printf "controller.terminationGracePeriodSeconds is %d: it must be more than the shutdown grace period (%s s) and 5 s, so that running requests can end" ($controller.terminationGracePeriodSeconds | int) (get $flags "shutdown-grace-period")) -}}
{{- end -}}
{{- if hasKey $flags "worker-shutdown-timeout" -}}
{{- if gt (get $flags "worker-shutdown-timeout" | int) ($rest | int) -}}
{{- fail (printf "controller.extraArgs: worker-shutdown-timeout is %s s, but terminationGracePeriodSeconds leaves %d s after the shutdown grace period" (get $flags "worker-shutdown-timeout") ($rest | int)) -}}
{{- end -}}
{{- else -}}
{{- $_ := set $flags "worker-shutdown-timeout" (toString $rest) -}}
{{- end -}}
{{- toYaml $flags -}}
{{- end -}}

{{- define "fairway.podSecurityContext" -}}
{{- $base := dict
  "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532
  "seccompProfile" (dict "type" "RuntimeDefault")
-}}
{{- if include "fairway.hasLowPorts" . -}}
{{- if .Values.controller.hostNetwork -}}
{{- $_ := set $base "runAsNonRoot" false -}}
{{- $_ := set $base "runAsUser" 0 -}}
{{- else -}}
{{- $_ := set $base "sysctls" (list (dict "name" "net.ipv4.ip_unprivileged_port_start" "value" "0")) -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $base (deepCopy .Values.controller.podSecurityContext)) -}}
{{- end -}}

{{- define "fairway.containerSecurityContext" -}}
{{- $capabilities := dict "drop" (list "ALL") -}}
{{- if and .Values.controller.hostNetwork (include "fairway.hasLowPorts" .) -}}
{{- $_ := set $capabilities "add" (list "NET_BIND_SERVICE") -}}
{{- end -}}
{{- $base := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" $capabilities -}}
{{- toYaml (mergeOverwrite $base (deepCopy .Values.controller.containerSecurityContext)) -}}
{{- end -}}
