{{- define "app.migration" -}}
# A migration that failed fails again; only a pod that was taken away is worth another try.
backoffLimit: 0
activeDeadlineSeconds: {{ add 600 (include "app.patience" . | int) }}
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
template:
  metadata:
    labels:
      {{- include "k8s-ee-lib.labels" (dict "root" . "name" "migrate") | nindent 6 }}
    {{- with .Values.podAnnotations }}
    annotations: {{ toJson . }}
    {{- end }}
  spec:
    {{- include "app.pod" . | nindent 4 }}
    restartPolicy: Never
    terminationGracePeriodSeconds: 15
    containers:
      - name: migrate
        {{- include "app.container" . | nindent 8 }}
        command: {{ toJson .Values.migrate }}
{{- end -}}
