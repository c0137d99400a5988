#!/bin/sh
# Gives the app's user the password in the file $NEW, by the one it has. Done before, it does nothing.
set -eu
for file in "$CREDENTIALS"/MYSQL_*; do export "${file##*/}=$(cat "$file")"; done
export MYSQL_PWD="$MYSQL_PASSWORD" MYSQL_TCP_PORT="${MYSQL_PORT:-3306}"
ask() {
    mariadb --no-defaults --skip-ssl-verify-server-cert --host="${HOST:-$MYSQL_HOST}" --user="$MYSQL_USER" >/dev/null
}
new=$(cat "$NEW")
case $new in *[!A-Za-z0-9_-]*) echo "k8s-ee: a new password is of letters, digits, - and _" >&2; exit 1 ;; esac
if echo 'SELECT 1' | MYSQL_PWD=$new ask 2>/dev/null; then exit 0; fi
# On stdin, as everybody may read a command line. What the client says of an error has the statement in it.
said=$(echo "SET PASSWORD = PASSWORD('$new')" | ask 2>&1) || {
    echo "k8s-ee: the password was not changed: $(printf %s "$said" | sed -n 's/^\(ERROR [0-9]*\).*/\1/p')" >&2
    exit 1
}
