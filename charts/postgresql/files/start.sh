#!/bin/sh
# Starts PostgreSQL on $VOLUME, and prepares it first if there is nothing yet.
#
# Preparing happens beside $PGDATA, in $PGDATA.init, and one rename makes it count: killed at any moment, the next
# start either finds a complete database or begins anew. No image's own entrypoint is needed.
set -eu

: "${VOLUME:?}" "${CREDENTIALS:?}" "${SCRIPTS:?}"
export PGDATA="$VOLUME/pgdata"
init=$PGDATA.init sockets=${SOCKETS:-/tmp}

say() { echo "k8s-ee: $*" >&2; }
fail() { say "$*"; exit 1; }

check_versions() {
    have=$(sh "${0%/*}/version.sh")
    have=${have%%.*}
    if [ -s "$PGDATA/PG_VERSION" ]; then
        data=$(cat "$PGDATA/PG_VERSION")
        [ "$data" = "$have" ] || fail "the volume holds a database of PostgreSQL $data, which PostgreSQL $have can't" \
            "read: go back to version $data, or give the data up (destroy the environment) to begin with $have"
    fi
    [ -z "${WANTED_VERSION:-}" ] || [ "${WANTED_VERSION%%.*}" = "$have" ] ||
        fail "version $WANTED_VERSION of PostgreSQL is asked for, but the image has $have"
}

quoted() { printf '%s%s%s' "$1" "$(sed "s/$1/$1$1/g" "$CREDENTIALS/$2")" "$1"; }

# Without a server there is nobody who could connect too early, and a second server start is saved.
create_app() {
    # A statement ends with its line. One that fails is not logged: it may have the password.
    [ "$(cat "$CREDENTIALS/PGUSER" "$CREDENTIALS/PGDATABASE" "$CREDENTIALS/PGPASSWORD" | wc -l)" -eq 0 ] ||
        fail "PGUSER, PGDATABASE and PGPASSWORD must not contain a line break"
    postgres --single -D "$init" -c fsync=off -c exit_on_error=on -c log_min_error_statement=panic \
        -c log_checkpoints=off postgres >/dev/null <<SQL || fail "the app's user and database can't be made"
CREATE ROLE $(quoted '"' PGUSER) LOGIN PASSWORD $(quoted "'" PGPASSWORD);
CREATE DATABASE $(quoted '"' PGDATABASE) OWNER $(quoted '"' PGUSER);
SQL
}

# The only connection there is meanwhile: a socket inside this container, as the app's own user.
query() {
    psql --no-psqlrc --quiet --output /dev/null --set ON_ERROR_STOP=1 --host "$sockets" \
        --username "$(cat "$CREDENTIALS/PGUSER")" --dbname "$(cat "$CREDENTIALS/PGDATABASE")" "$@"
}

bootstrap() {
    echo "local all all trust" >"$sockets/init_hba.conf"
    postgres -D "$init" -c hba_file="$sockets/init_hba.conf" -c listen_addresses= \
        -c unix_socket_directories="$sockets" -c fsync=off &
    server=$!
    until query --command 'select 1' 2>/dev/null; do
        kill -0 "$server" 2>/dev/null || fail "PostgreSQL stopped while its database was being prepared"
        sleep 0.1
    done
    query --file "$SCRIPTS/bootstrap.sql" ||
        fail "the bootstrap SQL failed; the database is made anew at the next start, with the SQL as it is then"
    kill -INT "$server"
    wait "$server"
    rm "$sockets/init_hba.conf"
}

prepare() {
    say "preparing an empty database"
    rm -rf "$init"
    initdb --pgdata "$init" --username postgres --encoding UTF8 --locale C.UTF-8 \
        --auth-local peer --auth-host scram-sha-256 --no-sync >/dev/null
    create_app
    [ ! -s "$SCRIPTS/bootstrap.sql" ] || bootstrap
    initdb --pgdata "$init" --sync-only >/dev/null 2>&1
    mv "$init" "$PGDATA"
    sync "$(dirname "$PGDATA")"
}

# The first process of a container ignores what it does not handle, and would be waited for until it is killed.
trap 'exit 143' TERM INT
umask 077
check_versions
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Something else that lies there is not ours to remove; an empty folder may be.
    [ ! -d "$PGDATA" ] || rmdir "$PGDATA" || fail "$PGDATA is neither empty nor a database"
    prepare
fi
# Some volumes come back open to the group, which PostgreSQL refuses.
chmod 0700 "$PGDATA"
exec postgres -D "$PGDATA" -c hba_file="$SCRIPTS/pg_hba.conf" -c listen_addresses='*' \
    -c unix_socket_directories="$sockets"
