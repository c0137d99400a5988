#!/bin/sh
# Ready is: the app's own user gets an answer from its own database, the way the app goes, over the network.
set -eu
PGPASSWORD=$(cat "$CREDENTIALS/PGPASSWORD")
export PGPASSWORD PGCONNECT_TIMEOUT=3
exec psql --no-psqlrc --quiet --no-align --tuples-only --host "$POD_IP" --command 'select 1' \
    --username "$(cat "$CREDENTIALS/PGUSER")" --dbname "$(cat "$CREDENTIALS/PGDATABASE")"
