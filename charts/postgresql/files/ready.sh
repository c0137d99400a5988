#!/bin/sh
# Ready is: the app's own user gets an answer from its own database, the way the app goes, over the network.
#
# With a number, tries again for so many seconds: the kubelet itself asks once a second at most.
set -eu
PGPASSWORD=$(cat "$CREDENTIALS/PGPASSWORD")
export PGPASSWORD PGCONNECT_TIMEOUT=3
set -- "$(($(date +%s) + ${1:-0}))" --no-psqlrc --quiet --no-align --tuples-only --host "$POD_IP" \
    --command 'select 1' --username "$(cat "$CREDENTIALS/PGUSER")" --dbname "$(cat "$CREDENTIALS/PGDATABASE")"
end=$1
shift
# While the database is being prepared there is nothing to ask, and asking would take time from it.
until [ -s "$PGDATA/postmaster.pid" ] && psql "$@"; do
    [ "$(date +%s)" -lt "$end" ] || exit 1
    sleep 0.1
done
