#!/bin/sh
# Starts the S3 server on $VOLUME, and makes the app's access key and bucket first if they are not there yet.
#
# On the volume: buckets in data/, what belongs to their objects in meta/, older versions of them in versions/, and the
# access keys in access/, which one rename puts there: killed at any moment, the next start finds all of it or nothing.
set -eu

: "${VOLUME:?}" "${CREDENTIALS:?}"

fail() { echo "k8s-ee: $*" >&2; exit 1; }
random() { head -c 32 /dev/urandom | sha256sum | cut -c 1-40; }

check_version() {
    have=$(sh "${0%/*}/version.sh")
    [ -z "${WANTED_VERSION:-}" ] || [ "${WANTED_VERSION%%.*}" = "${have%%.*}" ] ||
        fail "version $WANTED_VERSION of the object storage is asked for, but the image has $have"
}

# The role may also make buckets of its own, and change its own secret.
make_access() {
    access=$(cat "$CREDENTIALS/S3_ACCESS_KEY") secret=$(cat "$CREDENTIALS/S3_SECRET_KEY")
    case $access$secret in
        *[!A-Za-z0-9_-]*) fail "S3_ACCESS_KEY and S3_SECRET_KEY must be of letters, digits, - and _" ;;
    esac
    rm -rf access.new
    mkdir access.new
    printf '{"accessAccounts":{"%s":{"access":"%s","secret":"%s","role":"admin"}}}' "$access" "$access" "$secret" \
        >access.new/users.json
    sync access.new/users.json
    mv access.new access
    sync .
}

# The first process of a container ignores what it does not handle, and would be waited for until it is killed.
trap 'exit 143' TERM INT
umask 077
check_version
cd "$VOLUME"
[ -d access ] || make_access
mkdir -p meta versions "data/$(cat "$CREDENTIALS/S3_BUCKET")"
# The administrator is somebody nobody knows. The app's secret is read anew for each request: it may be changed.
ROOT_ACCESS_KEY_ID=$(random) ROOT_SECRET_ACCESS_KEY=$(random)
export ROOT_ACCESS_KEY_ID ROOT_SECRET_ACCESS_KEY
port=$(cat "$CREDENTIALS/MINIO_PORT" 2>/dev/null || echo 9000)
# Its locks are for more than one server on the same files, and would be as many files as there are objects.
exec versitygw --port ":$port" --keep-alive --quiet --iam-dir "$VOLUME/access" --iam-cache-disable \
    posix --sidecar "$VOLUME/meta" --versioning-dir "$VOLUME/versions" --disable-object-lock-file "$VOLUME/data"
