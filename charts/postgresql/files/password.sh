#!/bin/sh
# Gives the app's user the password in the file $NEW, by the one it has. Done before, it does nothing.
set -eu
for file in "$CREDENTIALS"/PG*; do export "${file##*/}=$(cat "$file")"; done
export PGHOST="${HOST:-$PGHOST}"
ask() { psql --no-psqlrc --quiet --output /dev/null --set ON_ERROR_STOP=1 "$@"; }
new=$(cat "$NEW")
if PGPASSWORD=$new ask --command 'select 1' 2>/dev/null; then exit 0; fi
# On stdin, as everybody may read a command line.
ask <<SQL
\\set new \`cat "\$NEW"\`
ALTER ROLE CURRENT_USER PASSWORD :'new';
SQL
