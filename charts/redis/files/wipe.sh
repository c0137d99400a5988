#!/bin/sh
# Deletes every key of every database.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
answer=$(ask flushall sync 2>&1)
[ "$answer" = OK ] || { echo "k8s-ee: $answer" >&2; exit 1; }
