{{/* The pods, the same for a Deployment and a DaemonSet. */}}
{{- define "fairway.podTemplate" -}}
{{- $controller := .Values.controller -}}
metadata:
  labels:
    {{- include "fairway.podLabels" . | nindent 4 }}
  {{- with $controller.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "fairway.serviceAccountName" . }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $controller.terminationGracePeriodSeconds }}
  dnsPolicy: {{ default (ternary "ClusterFirstWithHostNet" "ClusterFirst" $controller.hostNetwork) $controller.dnsPolicy }}
  {{- if $controller.hostNetwork }}
  hostNetwork: true
  {{- end }}
  securityContext:
    {{- include "fairway.podSecurityContext" . | nindent 4 }}
  containers:
    - name: controller
      image: {{ include "fairway.image" . | quote }}
      imagePullPolicy: {{ $controller.image.pullPolicy }}
      args:
        - controller
        {{- range $name, $value := include "fairway.flags" . | fromYaml }}
        - {{ printf "--%s=%s" $name $value | quote }}
        {{- end }}
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: POD_NAMESPACE
          valueFrom:
            fieldRef:
              fieldPath: metadata.namespace
        - name: NODE_NAME
          valueFrom:
            fieldRef:
              fieldPath: spec.nodeName
        # Kubernetes copies it from the node, from 1.35 on; empty where it is not known.
        - name: FAIRWAY_ZONE
          valueFrom:
            fieldRef:
              fieldPath: metadata.labels['topology.kubernetes.io/zone']
        {{- with $controller.extraEnvs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: {{ include "fairway.httpPort" . }}
          protocol: TCP
          {{- if $controller.hostPort.enabled }}
          hostPort: {{ $controller.hostPort.ports.http }}
          {{- end }}
        - name: https
          containerPort: {{ include "fairway.httpsPort" . }}
          protocol: TCP
          {{- if $controller.hostPort.enabled }}
          hostPort: {{ $controller.hostPort.ports.https }}
          {{- end }}
        - name: {{ $controller.metrics.portName }}
          containerPort: {{ $controller.metrics.port }}
          protocol: TCP
        {{- if $controller.admissionWebhooks.enabled }}
        - name: webhook
          containerPort: {{ $controller.admissionWebhooks.port }}
          protocol: TCP
        {{- end }}
      livenessProbe:
        httpGet:
          path: /healthz
          port: {{ $controller.metrics.portName }}
        {{- toYaml $controller.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet:
          path: /readyz
          port: {{ $controller.metrics.portName }}
        {{- toYaml $controller.readinessProbe | nindent 8 }}
      resources:
        {{- toYaml $controller.resources | nindent 8 }}
      securityContext:
        {{- include "fairway.containerSecurityContext" . | nindent 8 }}
      {{- if $controller.admissionWebhooks.enabled }}
      volumeMounts:
        - name: webhook-certificate
          mountPath: /etc/fairway/webhook
          readOnly: true
      {{- end }}
  {{- if $controller.admissionWebhooks.enabled }}
  volumes:
    - name: webhook-certificate
      secret:
        secretName: {{ include "fairway.admissionSecret" . }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $controller.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "fairway.metadata" -}}
name: {{ include "fairway.controllerName" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "fairway.labels" . | nindent 2 }}
{{- end -}}
