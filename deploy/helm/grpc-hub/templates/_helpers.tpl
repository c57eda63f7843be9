{{/* What names of objects begin with. What is put behind it has room: a label has 63 characters. */}}
{{- define "grpc-hub.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "grpc-hub.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "grpc-hub.labels" -}}
{{ include "grpc-hub.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "grpc-hub.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "grpc-hub.labels" . | nindent 2 }}
{{- end -}}

{{/* The headless Service: below it each hub has a name that stays. */}}
{{- define "grpc-hub.each" -}}
{{ include "grpc-hub.fullname" . }}-each
{{- end -}}

{{- define "grpc-hub.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "grpc-hub.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "grpc-hub.tokenSecret" -}}
{{ default (printf "%s-peers" (include "grpc-hub.fullname" .)) .Values.peers.token.existingSecret }}
{{- end -}}

{{- define "grpc-hub.authSecret" -}}
{{- if .Values.auth.toml -}}
{{ include "grpc-hub.fullname" . }}-auth
{{- else -}}
{{ .Values.auth.existingSecret }}
{{- end -}}
{{- end -}}

{{/* Secrets that are mounted, by the folder of each below /etc/grpc-hub: YAML. */}}
{{- define "grpc-hub.secrets" -}}
{{- $secrets := dict -}}
{{- with .Values.tls.existingSecret }}{{ $_ := set $secrets "tls" . }}{{ end -}}
{{- with include "grpc-hub.authSecret" . }}{{ $_ := set $secrets "auth" . }}{{ end -}}
{{- if .Values.peers.token.enabled }}{{ $_ := set $secrets "peer-token" (include "grpc-hub.tokenSecret" .) }}{{ end -}}
{{- with .Values.peers.tls.existingSecret }}{{ $_ := set $secrets "peer-tls" . }}{{ end -}}
{{- with .Values.directory.user.existingSecret }}{{ $_ := set $secrets "directory-user" . }}{{ end -}}
{{- with .Values.directory.tls.existingSecret }}{{ $_ := set $secrets "directory-tls" . }}{{ end -}}
{{- toYaml $secrets -}}
{{- end -}}

{{/* Values that do not fit together: each hub would say so too, but only once it is started. */}}
{{- define "grpc-hub.check" -}}
{{- if and .Values.auth.toml .Values.auth.existingSecret -}}
{{- fail "auth.toml and auth.existingSecret: one of them" -}}
{{- end -}}
{{- if not (or .Values.peers.token.enabled .Values.peers.tls.existingSecret) -}}
{{- fail "peers.token.enabled=false needs peers.tls.existingSecret: whoever reaches that port reaches every agent" -}}
{{- end -}}
{{- if and (not .Values.directory.uri) (or .Values.directory.user.existingSecret .Values.directory.tls.existingSecret) -}}
{{- fail "directory.user and directory.tls are for directory.uri, which is not given" -}}
{{- end -}}
{{- if and .Values.directory.tls.clientCertificate (not .Values.directory.tls.existingSecret) -}}
{{- fail "directory.tls.clientCertificate needs directory.tls.existingSecret" -}}
{{- end -}}
{{- end -}}
