#!/bin/sh
# The app's database as SQL on stdout, for load.sh.
set -eu
for file in "$CREDENTIALS"/MYSQL_*; do export "${file##*/}=$(cat "$file")"; done
export MYSQL_PWD="$MYSQL_PASSWORD"
exec mariadb-dump --no-defaults --host="${HOST:-$MYSQL_HOST}" --port="${MYSQL_PORT:-3306}" --user="$MYSQL_USER" \
    --single-transaction --order-by-primary --hex-blob --routines --events --triggers --no-tablespaces \
    --skip-comments "$MYSQL_DATABASE"
