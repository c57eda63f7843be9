{{/* The hub's command line: YAML, a list. */}}
{{- define "grpc-hub.args" -}}
{{ include "grpc-hub.ownArgs" . }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* As much of it as the chart says itself. */}}
{{- define "grpc-hub.ownArgs" -}}
- --listen=:8080
{{- /* Not for the pod alone: kubelet and Prometheus come from outside. */}}
- --admin-listen=:8081
- --shutdown-delay={{ .Values.shutdownDelaySeconds }}s
- --drain-timeout={{ .Values.drainTimeoutSeconds }}s
- --log-format={{ .Values.logFormat }}
{{- if .Values.tls.existingSecret }}
- --tls
- --tls-cert-file=/etc/grpc-hub/tls/tls.crt
- --tls-key-file=/etc/grpc-hub/tls/tls.key
{{- end }}
{{- if include "grpc-hub.authSecret" . }}
- --auth-file=/etc/grpc-hub/auth/{{ empty .Values.auth.toml | ternary .Values.auth.key "auth.toml" }}
{{- end }}
{{- with .Values.maxConnectionAge }}
- --max-connection-age={{ . }}
{{- end }}
{{- with .Values.proxyProtocol }}
- --proxy-protocol={{ join "," . }}
{{- end }}
{{- with .Values.trustedProxies }}
- --trusted-proxies={{ join "," . }}
{{- end }}
{{ include "grpc-hub.peerArgs" . }}
{{- if .Values.directory.uri }}
{{ include "grpc-hub.directoryArgs" . }}
{{- else }}
- --peers={{ include "grpc-hub.peers" . }}
{{- end }}
{{- end -}}

{{- define "grpc-hub.peerArgs" -}}
- --peer-listen=:8082
{{- if .Values.peers.token.enabled }}
- --peer-token-file=/etc/grpc-hub/peer-token/{{ empty .Values.peers.token.existingSecret | ternary "token" .Values.peers.token.key }}
{{- end }}
{{- if .Values.peers.tls.existingSecret }}
- --peer-tls-cert-file=/etc/grpc-hub/peer-tls/tls.crt
- --peer-tls-key-file=/etc/grpc-hub/peer-tls/tls.key
- --peer-tls-ca-file=/etc/grpc-hub/peer-tls/ca.crt
{{- end }}
{{- end -}}

{{- define "grpc-hub.directoryArgs" -}}
- --directory={{ .Values.directory.uri }}
{{- if .Values.peers.tls.existingSecret }}
{{- /* By name, which a certificate can be good for. */}}
- --peer-address=$(POD_NAME).{{ include "grpc-hub.each" . }}.{{ .Release.Namespace }}.svc:8082
{{- else }}
{{- /* By address: others find a new hub at once, whatever their DNS still says of its name. The brackets are for IPv6, and
       do no harm to IPv4. */}}
- --peer-address=[$(POD_IP)]:8082
{{- end }}
{{- if .Values.directory.user.existingSecret }}
- --directory-user-file=/etc/grpc-hub/directory-user/{{ .Values.directory.user.key }}
{{- end }}
{{- if .Values.directory.tls.existingSecret }}
- --directory-tls-ca-file=/etc/grpc-hub/directory-tls/ca.crt
{{- end }}
{{- if .Values.directory.tls.clientCertificate }}
- --directory-tls-cert-file=/etc/grpc-hub/directory-tls/tls.crt
- --directory-tls-key-file=/etc/grpc-hub/directory-tls/tls.key
{{- end }}
{{- end -}}

{{/* Where all hubs are, this one among them. */}}
{{- define "grpc-hub.peers" -}}
{{- $below := printf "%s.%s.svc:8082" (include "grpc-hub.each" .) .Release.Namespace -}}
{{- $peers := list -}}
{{- range $at := until (max .Values.replicas .Values.peers.listed | int) -}}
{{- $peers = append $peers (printf "%s-%d.%s" (include "grpc-hub.fullname" $) $at $below) -}}
{{- end -}}
{{- join "," $peers -}}
{{- end -}}
