{{/*
Labels of every object. Takes a dict: root (the chart's context), name (what the object's pods are selected by).
The component is the chart, so that everything of one database or of the app can be found, and pruned, together.
*/}}
{{- define "k8s-ee-lib.labels" -}}
{{- $own := dict
      "app.kubernetes.io/name" .name
      "app.kubernetes.io/component" .root.Chart.Name
      "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- toYaml (merge (dict) .root.Values.labels $own) -}}
{{- end -}}

{{/* "<name>-<hash>" for immutable objects: another content is another object, and the old one stays as it is. */}}
{{- define "k8s-ee-lib.hashedName" -}}
{{- printf "%s-%s" .name (.content | toJson | sha256sum | trunc 10) -}}
{{- end -}}
