#!/bin/sh
# Reads SQL from stdin into the app's database, all of it or nothing. Exit 3, and nothing done, where that is not empty:
# `load.sh check` only says that.
set -eu
for file in "$CREDENTIALS"/PG*; do export "${file##*/}=$(cat "$file")"; done
export PGHOST="${HOST:-$PGHOST}"
present=$(psql --no-psqlrc --tuples-only --no-align --command "
    SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'")
[ "$present" -eq 0 ] || { echo "k8s-ee: the database is not empty" >&2; exit 3; }
[ "${1:-}" != check ] || exit 0
psql --no-psqlrc --quiet --output /dev/null --set ON_ERROR_STOP=1 --single-transaction --file - ||
    exit 1
