#!/bin/sh
# Gives the app's user the password in the file $NEW. Done before, it does nothing.
#
# As the administrator, inside this container and without a password: what the app's user has set for itself (read-only,
# another way to keep passwords) does not count then, and a statement with the password in it is not logged when it fails.
set -eu
for file in "$CREDENTIALS"/PG*; do export "${file##*/}=$(cat "$file")"; done
export PGHOST="${HOST:-$PGHOST}"
ask() { psql --no-psqlrc --quiet --output /dev/null --set ON_ERROR_STOP=1 --set VERBOSITY=terse "$@"; }
new=$(cat "$NEW")
if PGPASSWORD=$new ask --command 'select 1' 2>/dev/null; then exit 0; fi
unset PGPASSWORD
# On stdin, as everybody may read a command line.
PGHOST="${SOCKETS:-/tmp}" PGUSER=postgres PGDATABASE=postgres ask <<SQL
\\set new \`cat "\$NEW"\`
\\set user \`cat "\$CREDENTIALS/PGUSER"\`
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
SET password_encryption = 'scram-sha-256';
ALTER ROLE :"user" PASSWORD :'new';
SQL
