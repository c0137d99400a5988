#!/bin/sh
# Starts MongoDB on $VOLUME, and prepares it first if there is nothing yet.
#
# Preparing happens in mongod.init, and one rename makes it count: killed at any moment, the next start either finds a
# complete database or begins anew. It is a replica set of one: without, there would be no transactions.
set -eu

: "${VOLUME:?}" "${CREDENTIALS:?}" "${SCRIPTS:?}"
data=$VOLUME/mongod init=$VOLUME/mongod.init
export HOME=/tmp # mongosh keeps its settings there

say() { echo "k8s-ee: $*" >&2; }
fail() { say "$*"; exit 1; }

series() { printf %s "$1" | cut -d. -f1,2; }

check_versions() {
    have=$(sh "${0%/*}/version.sh")
    if [ -s "$data/k8s-ee-version" ]; then
        written=$(cat "$data/k8s-ee-version")
        [ "$(series "$written")" = "$(series "$have")" ] || fail "the volume holds a database of MongoDB $written," \
            "which MongoDB $have can't read: go back to version $(series "$written"), or give the data up (destroy" \
            "the environment) to begin with $(series "$have")"
    fi
    case $have in
        "${WANTED_VERSION:-}"*) ;;
        *) fail "version $WANTED_VERSION of MongoDB is asked for, but the image has $have" ;;
    esac
}

shell() { mongosh --nodb --norc --quiet "$@"; }

prepare() {
    say "preparing an empty database"
    rm -rf "$init"
    mkdir "$init"
    head -c 512 /dev/urandom | base64 | tr -d '=\n' >"$init/k8s-ee-key"
    # Nobody outside this container reaches it meanwhile, and inside it nobody needs a password yet.
    mongod --dbpath "$init" --replSet k8s-ee --bind_ip 127.0.0.1 >"$init/k8s-ee-log" 2>&1 &
    server=$!
    if ! shell --file "$SCRIPTS/prepare.js" >"$init/k8s-ee-said" 2>&1; then
        cat "$init/k8s-ee-said" >&2
        ! grep -q 'bootstrap: ' "$init/k8s-ee-said" ||
            fail "the bootstrap script failed; the database is made anew at the next start, with the script as it is then"
        tail -n 20 "$init/k8s-ee-log" >&2
        fail "the app's user and database can't be made; both are made anew at the next start"
    fi
    kill -TERM "$server"
    wait "$server" || fail "MongoDB did not stop well after its database was prepared"
    cat "$init/k8s-ee-said"
    rm "$init/k8s-ee-log" "$init/k8s-ee-said"
    printf %s "$have" >"$init/k8s-ee-version"
    sync
    mv "$init" "$data"
    sync
}

# The first process of a container ignores what it does not handle, and would be waited for until it is killed.
trap 'exit 143' TERM INT
umask 077
check_versions
if [ ! -d "$data" ]; then
    prepare
fi
# Some volumes come back open to the group, which MongoDB refuses for its key.
chmod 0600 "$data/k8s-ee-key"
case ${HOST:-} in *:*) ipv6=--ipv6 ;; *) ipv6= ;; esac
exec mongod --dbpath "$data" --replSet k8s-ee --bind_ip_all ${ipv6:+"$ipv6"} --auth --keyFile "$data/k8s-ee-key" \
    --wiredTigerCacheSizeGB 0.25 --setParameter shutdownTimeoutMillisForSignaledShutdown=100
