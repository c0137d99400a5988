#!/bin/sh
# Reads SQL from stdin into the app's database. Exit 3, and nothing done, where that is not empty: `load.sh check` only
# says that. MariaDB can't take back tables it made: what was read before an error is wiped again.
set -eu
for file in "$CREDENTIALS"/MYSQL_*; do export "${file##*/}=$(cat "$file")"; done
export MYSQL_PWD="$MYSQL_PASSWORD" MYSQL_TCP_PORT="${MYSQL_PORT:-3306}"
ask() {
    mariadb --no-defaults --skip-ssl-verify-server-cert --host="${HOST:-$MYSQL_HOST}" --user="$MYSQL_USER" \
        --max-allowed-packet=1G --skip-column-names --batch "$@" "$MYSQL_DATABASE"
}
present=$(ask --execute='SELECT (SELECT count(*) FROM information_schema.tables WHERE table_schema = database())
    + (SELECT count(*) FROM information_schema.routines WHERE routine_schema = database())
    + (SELECT count(*) FROM information_schema.events WHERE event_schema = database())')
[ "$present" -eq 0 ] || { echo "k8s-ee: the database is not empty" >&2; exit 3; }
[ "${1:-}" != check ] || exit 0
# What the client says of an error has the statement in it, and that has rows. Of a pipeline only the last command's end is
# heard: what comes before says by itself that it got to its end.
end=$({ { ask >/dev/null && echo all >&3; } 2>&1 | LC_ALL=C sed -n '/^ERROR /p; /^mariadb: /p' >&2; } 3>&1) || end=
[ "$end" = all ] || { sh "${0%/*}/wipe.sh"; exit 1; }
