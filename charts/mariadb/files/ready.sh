#!/bin/sh
# ready.sh [SECONDS]: the app's own user gets an answer from its own database over the network, the way the app goes;
# from $HOST if that is set. With a number, tries again for so long: the kubelet itself asks once a second at most.
set -eu
trap 'exit 143' TERM
# $seconds of the machine, without a process of its own for each look.
clock() { read -r seconds _ </proc/uptime; seconds=${seconds%.*}; }
clock
# Nodes refuse who asks a Service with nobody behind it six times at once, then once a second, and let others hang.
# So many questions are asked in the first two seconds; most databases are there soon after.
# A question that is asked while they learn of an address may get lost on the way, however often it is repeated.
pause=0.3 later=1 longest=1
[ -z "${HOST:-}" ] || pause=0.1 later=0.5 longest=3
patient=$((seconds + 10)) end=$((seconds + ${1:-0}))
for file in "$CREDENTIALS"/MYSQL_*; do export "${file##*/}=$(cat "$file")"; done
export MYSQL_PWD="$MYSQL_PASSWORD" MYSQL_TCP_PORT="${MYSQL_PORT:-3306}"

answers() {
    # While the database is being prepared there is nothing to ask, and asking would take time from it.
    [ -z "${VOLUME:-}" ] || [ -s "$VOLUME/mysql/mariadb.pid" ] || { echo "it is still being prepared"; return 1; }
    { mariadb --no-defaults --skip-ssl-verify-server-cert --host="${HOST:-$MYSQL_HOST}" --user="$MYSQL_USER" \
        --connect-timeout="$longest" --execute='select 1' "$MYSQL_DATABASE" >/dev/null; } 2>&1
}

# While the password is being changed, the server may have the next one already.
next() { [ -s "$CREDENTIALS/NEXT" ] && MYSQL_PWD=$(cat "$CREDENTIALS/NEXT") answers; }

until error=$(answers || next); do
    clock; [ "$seconds" -lt "$end" ] || { echo "gave up: $error" >&2; exit 1; }
    # One that takes long has better use for the processor.
    if [ "$seconds" -lt "$patient" ]; then sleep "$pause"; else longest=3 && sleep "$later"; fi
done
