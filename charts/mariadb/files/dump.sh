#!/bin/sh
# The app's database as SQL on stdout, for load.sh.
set -eu
for file in "$CREDENTIALS"/MYSQL_*; do export "${file##*/}=$(cat "$file")"; done
export MYSQL_PWD="$MYSQL_PASSWORD" MYSQL_TCP_PORT="${MYSQL_PORT:-3306}"
# Old rows of tables that keep them are dumped only where that is asked for, which older tools can't be.
history=
if [ "$(mariadb --no-defaults --skip-ssl-verify-server-cert --host="${HOST:-$MYSQL_HOST}" --user="$MYSQL_USER" \
    --skip-column-names --batch --execute="SELECT count(*) FROM information_schema.tables
        WHERE table_schema = database() AND table_type = 'SYSTEM VERSIONED'" "$MYSQL_DATABASE")" -gt 0 ]
then history=--dump-history
fi
exec mariadb-dump --no-defaults --skip-ssl-verify-server-cert --host="${HOST:-$MYSQL_HOST}" --user="$MYSQL_USER" \
    --single-transaction --order-by-primary --hex-blob --routines --events --triggers --no-tablespaces \
    ${history:+"$history"} --skip-comments "$MYSQL_DATABASE"
