#!/bin/sh
# Empties the app's database. Its other connections end: one that holds a lock would hold this up.
set -eu
for file in "$CREDENTIALS"/MYSQL_*; do export "${file##*/}=$(cat "$file")"; done
export MYSQL_PWD="$MYSQL_PASSWORD" MYSQL_TCP_PORT="${MYSQL_PORT:-3306}"
ask() {
    mariadb --no-defaults --skip-ssl-verify-server-cert --host="${HOST:-$MYSQL_HOST}" --user="$MYSQL_USER" "$@"
}
others="SELECT concat('KILL ', id, ';') FROM information_schema.processlist
    WHERE user = substring_index(current_user(), '@', 1) AND id <> connection_id()"
# One of them may be gone already.
ask --skip-column-names --batch --execute="$others" | ask --force 2>/dev/null || true
# shellcheck disable=SC2016 # those are no commands
name=$(printf %s "$MYSQL_DATABASE" | sed 's/`/``/g')
# One statement, which the server ends also when nobody waits for it any more: without its database nothing is ready again.
ask --execute="SET lock_wait_timeout = 30; CREATE OR REPLACE DATABASE \`$name\`"
