{{/*
One database: ConfigMap of its scripts, Service, and StatefulSet with a volume. Takes a dict:
  root       the chart's context; the chart's name is the database's, files/ holds its scripts
  port       where it listens
  user       number of the user it runs as, in its own image
  mount      where its volume is in its own image
  keys       keys of the Secret that it needs, in words
  bootstrap  what the file of the value `bootstrap` is called, for engines that have one
  itself     whether it looks itself up by the Service's name: then it finds itself before the Service does
  stop       command that stops it at once instead of waiting for clients; none = its image's stop signal
*/}}
{{- define "k8s-ee-lib.database" -}}
{{- $values := .root.Values }}
{{- $name := .root.Chart.Name }}
{{- $secret := $values.auth.existingSecret }}
{{- if not $secret }}
{{- fail (printf "auth.existingSecret is needed: the name of a Secret with %s. This chart makes no password: a new one would lock the app out of data that exists." .keys) }}
{{- end }}
{{- $files := include "k8s-ee-lib.databaseFiles" . }}
{{- /* Another script or bootstrap is another ConfigMap: a database that could not be prepared is tried anew with it. */}}
{{- $scripts := include "k8s-ee-lib.hashedName" (dict "name" $name "content" $files) }}
{{- $labels := include "k8s-ee-lib.labels" (dict "root" .root "name" $name) }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $scripts }}
  labels:
    {{- $labels | nindent 4 }}
immutable: true
data:
  {{- $files | nindent 2 }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  # Whoever waits for it asks the database itself, and so need not wait for the cluster to have noticed that it is ready.
  publishNotReadyAddresses: true
  selector:
    app.kubernetes.io/name: {{ $name }}
  ports:
    - name: {{ $name }}
      port: {{ .port }}
      targetPort: {{ $name }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  replicas: 1
  revisionHistoryLimit: 3
  serviceName: {{ $name }}
  # With OrderedReady a pod that can't start is never replaced, not even by one that could.
  podManagementPolicy: Parallel
  # The data goes with the namespace and in no other way.
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ $name }}
  template:
    metadata:
      labels:
        {{- $labels | nindent 8 }}
      {{- with $values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "k8s-ee-lib.pod" .root | nindent 6 }}
      securityContext:
        {{- include "k8s-ee-lib.podSecurity" .root | nindent 8 }}
        runAsUser: {{ .user }}
        runAsGroup: {{ .user }}
        fsGroup: {{ .user }}
        # Each start would otherwise open the data to the group, file by file.
        fsGroupChangePolicy: OnRootMismatch
      terminationGracePeriodSeconds: 60
      {{- if .itself }}
      hostAliases: [{ip: 127.0.0.1, hostnames: [{{ $name }}]}]
      {{- end }}
      containers:
        - name: {{ $name }}
          image: {{ $values.image }}
          imagePullPolicy: IfNotPresent
          command: [sh, -c, rm -f /tmp/k8s-ee-answered*; exec sh /etc/k8s-ee/scripts/start.sh]
          env:
            - {name: SCRIPTS, value: /etc/k8s-ee/scripts}
            - {name: CREDENTIALS, value: /etc/k8s-ee/credentials}
            - {name: VOLUME, value: {{ .mount }}}
            - {name: WANTED_VERSION, value: {{ $values.version | quote }}}
            # Ready is who answers here: never a socket, which also a server that only prepares the data has.
            - name: HOST
              valueFrom:
                fieldRef: {fieldPath: status.podIP}
          ports:
            - name: {{ $name }}
              containerPort: {{ .port }}
          {{- with .stop }}
          # Stops at once instead of waiting for clients, whatever stop signal the image names.
          lifecycle:
            preStop:
              exec:
                command: [sh, -c, {{ . | quote }}]
          {{- end }}
          # Asked the moment the container is seen to run, and lasts until there is an answer: a startup probe would be asked up to
          # a second later. The kubelet may look before it has noted that, so it has to come back soon. Right after an
          # answer it takes its time: a command in a container costs more than what it asks. A server that ends is seen without it.
          readinessProbe:
            exec:
              command:
                - sh
                - -c
                - '[ -e "$0-now" ] && rm "$0-now" && sleep 30 && tried=2;
                  sh /etc/k8s-ee/scripts/ready.sh "${tried:-9}" && : >"$0-now" && : >"$0"'
                - /tmp/k8s-ee-answered
            periodSeconds: 1
            timeoutSeconds: 50
            failureThreshold: 2
          # One that has not answered by then is begun anew, as if its node had failed. It is never ended for anything that
          # happens after its first answer: on a node that is slow, looking for a file may take long, and says nothing.
          livenessProbe:
            exec:
              command: [test, -e, /tmp/k8s-ee-answered]
            initialDelaySeconds: {{ $values.startupSeconds }}
            periodSeconds: 15
            timeoutSeconds: 60
            failureThreshold: 2
            terminationGracePeriodSeconds: 1
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            {{- include "k8s-ee-lib.containerSecurity" .root | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: {{ .mount }}}
            - {name: scripts, mountPath: /etc/k8s-ee/scripts, readOnly: true}
            - {name: credentials, mountPath: /etc/k8s-ee/credentials, readOnly: true}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: scripts
          configMap: {name: {{ $scripts }}}
        - name: credentials
          secret: {secretName: {{ $secret }}}
        - name: tmp
          emptyDir: {sizeLimit: 256Mi}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $values.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $values.storage }}
{{- end -}}

{{- define "k8s-ee-lib.databaseFiles" -}}
{{- range $path, $content := .root.Files.Glob "files/*" }}
{{ base $path }}: {{ $content | toString | toJson }}
{{- end }}
{{- with .bootstrap }}
{{ . }}: {{ $.root.Values.bootstrap | toJson }}
{{- end }}
{{- end -}}
