{{- define "postgresql.files" -}}
start.sh: |
  {{- .Files.Get "files/start.sh" | nindent 2 }}
ready.sh: |
  {{- .Files.Get "files/ready.sh" | nindent 2 }}
pg_hba.conf: |
  {{- .Files.Get "files/pg_hba.conf" | nindent 2 }}
bootstrap.sql: {{ .Values.bootstrap | toJson }}
{{- end -}}

{{/* Another script or bootstrap is another ConfigMap: a database that could not be prepared is tried anew with it. */}}
{{- define "postgresql.scripts" -}}
{{- include "k8s-ee-lib.hashedName" (dict "name" "postgresql" "content" (include "postgresql.files" .)) -}}
{{- end -}}
