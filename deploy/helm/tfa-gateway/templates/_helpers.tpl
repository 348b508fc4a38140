{{- define "tfa-gateway.labels" -}}
app.kubernetes.io/name: tfa-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "tfa-gateway.selector" -}}
app.kubernetes.io/name: tfa-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "tfa-gateway.name" -}}
{{- if contains "tfa-gateway" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-tfa-gateway" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}
