#!/bin/sh
# Deletes every key of every database, and every function.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
answer=$(ask flushall sync 2>&1)
[ "$answer" = OK ] || { echo "k8s-ee: $answer" >&2; exit 1; }
# Redis 6 has none.
answer=$(ask function flush sync 2>&1)
case $answer in OK | *"unknown command"*) ;; *) echo "k8s-ee: $answer" >&2; exit 1 ;; esac
