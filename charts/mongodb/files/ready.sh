#!/bin/sh
# ready.sh [SECONDS]: the app's own user reads from its own database over the network, the way the app goes; from $HOST
# if that is set. With a number, tries again for so long: the kubelet itself asks once a second at most.
#
# With mongoexport, as mongosh needs half a second of processor time and 100 MiB to start.
set -eu
trap 'exit 143' TERM

# $config: a file with where to and who, as everybody may read a command line; with another password, where one is given.
login() {
    url=$(cat "$CREDENTIALS/MONGODB_URL")
    [ -z "${1:-}" ] || url=${url%:*@*}:$1@${url#*@}
    case ${HOST:-} in
        '') ;;
        *:*) url=${url%%@*}@[$HOST]:27017/${url#*@*/} ;;
        *) url=${url%%@*}@$HOST:27017/${url#*@*/} ;;
    esac
    case $url in
        *\?*) url="$url&" ;;
        *) url="$url?" ;;
    esac
    # Never connectTimeoutMS: MongoDB's tools take that number for seconds.
    config=$(mktemp)
    trap 'rm -f "$config"' EXIT
    printf 'uri: "%s"\n' "${url}serverSelectionTimeoutMS=3000" >"$config"
}

answers() {
    # While the database is being prepared there is nothing to ask, and asking would take time from it.
    [ -z "${VOLUME:-}" ] || [ -d "$VOLUME/mongod" ] || { echo "it is still being prepared"; return 1; }
    quietly timeout 10 mongoexport --config "$config" --collection k8s-ee --limit 1 --out /dev/null 2>&1
}

# MongoDB's tools talk a lot, and name the password where they can't connect.
quietly() {
    said=$(mktemp)
    "$@" 2>"$said" || { code=$?; sed 's#//[^/@]*@#//***@#g' "$said" >&2; rm "$said"; return "$code"; }
    rm "$said"
}

# $seconds of the machine, without a process of its own for each look.
clock() { read -r seconds _ </proc/uptime; seconds=${seconds%.*}; }

# Other scripts read this one for its functions.
if [ "${0##*/}" = ready.sh ]; then
    clock
    # Nodes refuse who asks a Service with nobody behind it six times at once, then once a second, and let others hang.
    # So many questions are asked in the first two seconds; most databases are there soon after.
    pause=0.3 later=1
    [ -z "${HOST:-}" ] || pause=0.1 later=0.5
    patient=$((seconds + 10)) end=$((seconds + ${1:-0}))
    login
    # While the password is being changed, the server may have the next one already.
    next() { [ -s "$CREDENTIALS/NEXT" ] && login "$(cat "$CREDENTIALS/NEXT")" && answers; }
    until error=$(answers || next); do
        clock; [ "$seconds" -lt "$end" ] || { echo "gave up: $error" >&2; exit 1; }
        # One that takes long has better use for the processor.
        if [ "$seconds" -lt "$patient" ]; then sleep "$pause"; else sleep "$later"; fi
    done
fi
