#!/bin/sh
# Reads an archive from stdin into the app's database. Exit 3, and nothing done, where that is not empty: `load.sh check`
# only says that. What was read before an error is wiped again.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
login
export HOME=/tmp
found=$(mongosh --nodb --norc --quiet --file "${0%/*}/count.js")
[ "$found" -eq 0 ] || { echo "k8s-ee: the database is not empty" >&2; exit 3; }
[ "${1:-}" != check ] || exit 0
quietly mongorestore --config "$config" --archive --stopOnError || { sh "${0%/*}/wipe.sh"; exit 1; }
