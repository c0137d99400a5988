#!/bin/sh
# Starts Valkey on $VOLUME, and prepares it first if there is nothing yet.
#
# The password is kept beside the data, as a hash, and read from the Secret only once. Preparing happens in $data.init,
# and one rename makes it count.
set -eu

: "${VOLUME:?}" "${CREDENTIALS:?}"
data=$VOLUME/valkey
server=$(command -v valkey-server || command -v redis-server)

fail() { echo "k8s-ee: $*" >&2; exit 1; }

check_versions() {
    whole=$(sh "${0%/*}/version.sh")
    have=${whole%%.*}
    if [ -s "$data/version" ]; then
        present=$(cat "$data/version")
        [ "$present" = "$have" ] || fail "the volume holds data of version $present, which version $have must not" \
            "touch: go back to version $present, or give the data up (destroy the environment) to begin with $have"
    fi
    [ -z "${WANTED_VERSION:-}" ] || [ "${WANTED_VERSION%%.*}" = "$have" ] ||
        fail "version $WANTED_VERSION is asked for, but the image has $whole"
}

prepare() {
    echo "k8s-ee: preparing an empty database" >&2
    rm -rf "$data.init"
    mkdir "$data.init"
    hash=$(printf %s "$(cat "$CREDENTIALS/REDIS_PASSWORD")" | sha256sum)
    echo "user default on #${hash%% *} ~* &* +@all" >"$data.init/users.acl"
    echo "$have" >"$data.init/version"
    sync "$data.init/users.acl" "$data.init/version" "$data.init"
    mv "$data.init" "$data"
    sync "$VOLUME"
}

# Writes are refused before the node kills the whole of it: what is left is for connections, and to rewrite the file.
memory() {
    limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
    case $limit in max) echo 0 ;; *) echo $((limit * 6 / 10)) ;; esac
}

umask 077
check_versions
if [ ! -s "$data/version" ]; then
    # Something else that lies there is not ours to remove; an empty folder may be.
    [ ! -d "$data" ] || rmdir "$data" || fail "$data is neither empty nor a database"
    prepare
fi
# Each write is in the file before it is answered, and the file is on the disk a second later.
exec "$server" --dir "$data" --aclfile "$data/users.acl" --port "${REDIS_PORT:-6379}" --bind '*' '-::*' \
    --protected-mode no --appendonly yes --appendfsync everysec --save '' --maxmemory "$(memory)"
