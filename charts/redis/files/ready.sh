#!/bin/sh
# ready.sh [SECONDS]: the app's own login is answered over the network, the way the app goes; from $HOST if that is set.
# With a number, tries again for so long: the kubelet itself asks once a second at most.
set -eu
for file in "$CREDENTIALS"/REDIS_*; do export "${file##*/}=$(cat "$file")"; done
export REDISCLI_AUTH="$REDIS_PASSWORD"
case ${REDIS_URL:-} in rediss:*) tls=--tls ;; *) tls= ;; esac
client=$(command -v valkey-cli || command -v redis-cli)
# In at most $longest seconds, where that is set.
ask() {
    ${longest:+timeout "$longest"} "$client" ${tls:+"$tls"} -h "${HOST:-$REDIS_HOST}" -p "${REDIS_PORT:-6379}" "$@"
}

# What it says of itself: an answer that is none would be taken for "nothing there".
info() {
    said=$(ask info "$1")
    case $said in "# "*) printf '%s\n' "$said" ;; *) echo "k8s-ee: it does not answer: $said" >&2; return 1 ;; esac
}

# $seconds of the machine, without a process of its own for each look.
clock() { read -r seconds _ </proc/uptime; seconds=${seconds%.*}; }

# Other scripts read this one for its functions.
if [ "${0##*/}" = ready.sh ]; then
    trap 'exit 143' TERM
    clock
    # Nodes refuse who asks a Service with nobody behind it six times at once, then once a second, and let others hang.
    # So many questions are asked in the first two seconds; most databases are there soon after.
    # A question that is asked while they learn of an address may get lost on the way, however often it is repeated.
    pause=0.3 later=1 longest=1
    [ -z "${HOST:-}" ] || pause=0.1 later=0.5 longest=3
    patient=$((seconds + 10)) end=$((seconds + ${1:-0}))
    # While the password is being changed, the server may have the next one already.
    answers() { answer=$(ask ping 2>&1) && [ "$answer" = PONG ]; }
    next() { [ -s "$CREDENTIALS/NEXT" ] && REDISCLI_AUTH=$(cat "$CREDENTIALS/NEXT") answers; }
    until answers || next; do
        clock; [ "$seconds" -lt "$end" ] || { echo "gave up: $answer" >&2; exit 1; }
        # One that takes long has better use for the processor.
        if [ "$seconds" -lt "$patient" ]; then sleep "$pause"; else longest=3 && sleep "$later"; fi
    done
fi
