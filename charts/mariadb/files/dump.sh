#!/bin/sh
# The app's database as SQL on stdout, for load.sh.
set -eu
for file in "$CREDENTIALS"/MYSQL_*; do export "${file##*/}=$(cat "$file")"; done
export MYSQL_PWD="$MYSQL_PASSWORD" MYSQL_TCP_PORT="${MYSQL_PORT:-3306}"
exec mariadb-dump --no-defaults --skip-ssl-verify-server-cert --host="${HOST:-$MYSQL_HOST}" --user="$MYSQL_USER" \
    --single-transaction --order-by-primary --hex-blob --routines --events --triggers --no-tablespaces \
    --skip-comments "$MYSQL_DATABASE"
