{{- define "app.environment" -}}
{{- include "k8s-ee-lib.hashedName" (dict "name" "app-env" "content" .Values.env) -}}
{{- end -}}

{{/* Waits in the database's own client until the app's own user is answered. */}}
{{- define "app.waits" -}}
{{- range .Values.databases }}
- name: wait-for-{{ .name }}
  image: {{ .image }}
  imagePullPolicy: IfNotPresent
  command: [sh, -c, {{ .ready | quote }}, ready.sh, {{ .startupSeconds | default 150 | quote }}]
  env:
    - {name: CREDENTIALS, value: /etc/k8s-ee/credentials}
  resources:
    {{- toYaml $.Values.waiting.resources | nindent 4 }}
  securityContext:
    runAsUser: {{ .runAsUser }}
    {{- include "k8s-ee-lib.containerSecurity" $ | nindent 4 }}
  volumeMounts:
    - {name: {{ .name }}, mountPath: /etc/k8s-ee/credentials, readOnly: true}
    - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end -}}

{{/* What the app's container and the migration's have in common. */}}
{{- define "app.container" -}}
image: {{ required "image: the app's image is needed" .Values.image }}
imagePullPolicy: IfNotPresent
envFrom:
  {{- range .Values.databases }}
  - secretRef:
      name: {{ .auth.existingSecret }}
  {{- end }}
  {{- with .Values.envFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  - configMapRef:
      name: {{ include "app.environment" . }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "k8s-ee-lib.containerSecurity" . | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- range $index, $path := .Values.writableDirs }}
  - name: writable-{{ $index }}
    mountPath: {{ $path | quote }}
  {{- end }}
{{- end -}}

{{- define "app.pod" -}}
{{ include "k8s-ee-lib.pod" . }}
securityContext:
  {{- include "k8s-ee-lib.podSecurity" . | nindent 2 }}
  {{- with .Values.runAsUser }}
  runAsUser: {{ . }}
  {{- end }}
{{- with include "app.waits" . | trim }}
initContainers:
  {{- . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 1Gi}
  {{- range .Values.databases }}
  - name: {{ .name }}
    secret:
      secretName: {{ required (printf "databases: %s needs auth.existingSecret, the Secret with its variables" .name) .auth.existingSecret }}
  {{- end }}
  {{- range $index, $path := .Values.writableDirs }}
  - name: writable-{{ $index }}
    emptyDir: {sizeLimit: 1Gi}
  {{- end }}
{{- end -}}

{{/* A pod that starts late must not be given up before its databases and its own start had their time. */}}
{{- define "app.patience" -}}
{{- $seconds := add .Values.startupSeconds 60 -}}
{{- range .Values.databases }}{{ $seconds = add $seconds (.startupSeconds | default 150) }}{{ end -}}
{{- $seconds -}}
{{- end -}}
