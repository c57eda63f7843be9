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

{{- define "grpc-hub.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Values that do not fit together, or would do nothing: of some each hub would say so too, but only once it is started. */}}
{{- define "grpc-hub.check" -}}
{{- $v := .Values -}}
{{- $token := or $v.peers.token.existingSecret (ne $v.peers.token.key "token") -}}
{{- range list
  (list (and $v.image.tag $v.image.digest)
    "image.tag and image.digest: one of them")
  (list (and $v.auth.toml $v.auth.existingSecret)
    "auth.toml and auth.existingSecret: one of them")
  (list (and (ne $v.auth.key "auth.toml") (not $v.auth.existingSecret))
    "auth.key is for auth.existingSecret, which is not given")
  (list (not (or $v.peers.token.enabled $v.peers.tls.existingSecret))
    "peers.token.enabled=false needs peers.tls.existingSecret: whoever reaches that port reaches every agent")
  (list (and $token (not $v.peers.token.enabled))
    "peers.token.existingSecret and peers.token.key do nothing with peers.token.enabled=false")
  (list (and (ne $v.peers.token.key "token") (not $v.peers.token.existingSecret))
    "peers.token.key is for peers.token.existingSecret, which is not given")
  (list (and $v.peers.listed $v.directory.uri)
    "peers.listed does nothing with directory.uri, which tells where hubs are")
  (list (and (not $v.directory.uri) (or $v.directory.user.existingSecret $v.directory.tls.existingSecret))
    "directory.user and directory.tls are for directory.uri, which is not given")
  (list (and (ne $v.directory.user.key "user") (not $v.directory.user.existingSecret))
    "directory.user.key is for directory.user.existingSecret, which is not given")
  (list (and $v.directory.tls.clientCertificate (not $v.directory.tls.existingSecret))
    "directory.tls.clientCertificate needs directory.tls.existingSecret")
  (list (and $v.networkPolicy.adminFrom (not $v.networkPolicy.enabled))
    "networkPolicy.adminFrom does nothing without networkPolicy.enabled")
  (list (and $v.serviceAccount.annotations (not $v.serviceAccount.create))
    "serviceAccount.annotations do nothing with serviceAccount.create=false")
-}}
{{- if first . }}{{ fail (last .) }}{{ end -}}
{{- end -}}
{{- include "grpc-hub.checkExtra" . -}}
{{- end -}}

{{/* A hub ends at once when a flag is there twice, but for lists; and does not look at the variable of a flag that is there. */}}
{{- define "grpc-hub.checkExtra" -}}
{{- $extra := list -}}
{{- range .Values.extraArgs }}{{ $extra = append $extra (splitList "=" . | first) }}{{ end -}}
{{- $variables := list -}}
{{- range .Values.extraEnv }}{{ $variables = append $variables .name }}{{ end -}}
{{- range include "grpc-hub.ownArgs" . | fromYamlArray -}}
{{- $flag := splitList "=" . | first -}}
{{- $variable := $flag | trimPrefix "--" | upper | replace "-" "_" | printf "HUB_%s" -}}
{{- if and (has $flag $extra) (ne $flag "--peers") -}}
{{- fail (printf "extraArgs: %s is the chart's own, and said already: use the value that it has" $flag) -}}
{{- end -}}
{{- if has $variable $variables -}}
{{- fail (printf "extraEnv: %s does nothing, for the chart says %s: use the value that it has" $variable $flag) -}}
{{- end -}}
{{- end -}}
{{- end -}}
