#!/bin/sh
# Deletes every key of every database.
set -eu
for file in "$CREDENTIALS"/REDIS_*; do export "${file##*/}=$(cat "$file")"; done
export REDISCLI_AUTH="$REDIS_PASSWORD"
case ${REDIS_URL:-} in rediss:*) tls=--tls ;; *) tls= ;; esac
client=$(command -v valkey-cli || command -v redis-cli)
ask() { "$client" ${tls:+"$tls"} -h "${HOST:-$REDIS_HOST}" -p "${REDIS_PORT:-6379}" "$@"; }
answer=$(ask flushall sync 2>&1)
[ "$answer" = OK ] || { echo "k8s-ee: $answer" >&2; exit 1; }
