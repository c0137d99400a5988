#!/bin/sh
# The app's database as SQL on stdout, for load.sh.
set -eu
for file in "$CREDENTIALS"/MYSQL_*; do export "${file##*/}=$(cat "$file")"; done
export MYSQL_PWD="$MYSQL_PASSWORD" MYSQL_TCP_PORT="${MYSQL_PORT:-3306}"
set -- --no-defaults --skip-ssl-verify-server-cert --host="${HOST:-$MYSQL_HOST}" --user="$MYSQL_USER"
remembering=$(mariadb "$@" --skip-column-names --batch --execute="SELECT count(*) FROM information_schema.tables
    WHERE table_schema = database() AND table_type = 'SYSTEM VERSIONED'" "$MYSQL_DATABASE")
# A new database has the server's own, which tables to come would get.
mariadb "$@" --skip-column-names --batch --raw --execute="SELECT concat('ALTER DATABASE CHARACTER SET ',
    default_character_set_name, ' COLLATE ', default_collation_name, ';') FROM information_schema.schemata
    WHERE schema_name = database()" "$MYSQL_DATABASE"
# Old rows of tables that keep them are dumped only where that is asked for, which older tools can't be.
[ "$remembering" -eq 0 ] || set -- "$@" --dump-history
# A row that is twice as long as text, as bytes are in hex digits, still has to fit into what load.sh may send.
exec mariadb-dump "$@" --max-allowed-packet=511M --single-transaction --order-by-primary --hex-blob --routines \
    --events --triggers --no-tablespaces --skip-comments "$MYSQL_DATABASE"
