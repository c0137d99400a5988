#!/bin/sh
# Starts MariaDB on $VOLUME, and prepares it first if there is nothing yet.
#
# Preparing happens beside $data, in $data.init, and one rename makes it count: killed at any moment, the next start
# either finds a complete database or begins anew. Until then nothing is synced, which MariaDB would do a thousand times;
# all of it is, once, before the rename. No image's own entrypoint or configuration is needed.
set -eu

: "${VOLUME:?}" "${CREDENTIALS:?}" "${SCRIPTS:?}"
data=$VOLUME/mysql init=$VOLUME/mysql.init sockets=${SOCKETS:-/tmp}

say() { echo "k8s-ee: $*" >&2; }
fail() { say "$*"; exit 1; }

check_versions() {
    whole=$(sh "${0%/*}/version.sh")
    have=${whole%.*}
    if [ -s "$data/mariadb_upgrade_info" ]; then
        present=$(cat "$data/mariadb_upgrade_info")
        present=${present%.*}
        [ "$present" = "$have" ] || fail "the volume holds a database of MariaDB $present, which MariaDB $have must" \
            "not touch: go back to version $present, or give the data up (destroy the environment) to begin with $have"
    fi
    case $whole. in
        "${WANTED_VERSION:-$have}".*) ;;
        *) fail "version $WANTED_VERSION of MariaDB is asked for, but the image has $whole" ;;
    esac
}

# As it stands in SQL that knows no backslash escapes.
quoted() { printf '%s%s%s' "$1" "$(sed "s/$1/$1$1/g" "$CREDENTIALS/$2")" "$1"; }

login() {
    cat <<SQL
FLUSH PRIVILEGES;
SET sql_mode = 'NO_BACKSLASH_ESCAPES';
CREATE USER $(quoted "'" MYSQL_USER) IDENTIFIED BY $(quoted "'" MYSQL_PASSWORD);
CREATE DATABASE $(quoted '`' MYSQL_DATABASE);
GRANT ALL PRIVILEGES ON $(quoted '`' MYSQL_DATABASE | sed 's/[_%]/\\&/g').* TO $(quoted "'" MYSQL_USER);
SQL
}

# What went wrong, without the general advice around it, and without statements: one of them has the password.
why() {
    sed -e '/^Installing MariaDB/d' -e '/^Installation of system tables failed/,$d' -e "s/ near '.*//" \
        -e '/IDENTIFIED BY/d' "$sockets/init.log" | grep -vFf "$CREDENTIALS/MYSQL_PASSWORD" | tail -n 20
}

# On the processor it runs on, where the image has taskset. MariaDB may not notice that its page cleaner is waited for,
# and both then sleep for a second: on two processors in each seventh start, on one in each thirtieth.
on_one_processor() {
    processor=$(cut -d ' ' -f 39 /proc/self/stat)
    if taskset -c "$processor" true 2>/dev/null; then
        taskset -c "$processor" "$@"
    else
        "$@"
    fi
}

# Without a server there is nobody who could connect too early, and a second server start is saved.
create() {
    [ "$(cat "$CREDENTIALS/MYSQL_USER" "$CREDENTIALS/MYSQL_DATABASE" "$CREDENTIALS/MYSQL_PASSWORD" | wc -l)" -eq 0 ] ||
        fail "MYSQL_USER, MYSQL_DATABASE and MYSQL_PASSWORD must not contain a line break"
    login >"$sockets/login.sql"
    on_one_processor mariadb-install-db --no-defaults --force --datadir="$init" --tmpdir="$VOLUME/tmp" \
        --skip-name-resolve --skip-test-db --auth-root-authentication-method=socket --debug-no-sync \
        --extra-file="$sockets/login.sql" >"$sockets/init.log" 2>&1 || {
        why >&2
        fail "the app's user and database can't be made"
    }
    # Left to itself, the server makes a new key of 4096 bits at each start, which takes seconds.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=mariadb \
        -keyout "$init/server-key.pem" -out "$init/server-cert.pem" \
        2>/dev/null || fail "no key for TLS can be made: the image needs openssl"
    rm "$sockets/login.sql"
    echo "$whole" >"$init/mariadb_upgrade_info"
}

server() { # DATADIR OPTION…
    datadir=$1
    shift
    exec mariadbd --no-defaults --datadir="$datadir" --tmpdir="$VOLUME/tmp" --socket="$sockets/mariadb.sock" \
        --pid-file="$datadir/mariadb.pid" --skip-name-resolve --character-set-server=utf8mb4 --max-allowed-packet=1G \
        --ssl-key="$datadir/server-key.pem" --ssl-cert="$datadir/server-cert.pem" "$@"
}

# The only connection there is meanwhile: a socket inside this container, as the app's own user.
query() {
    MYSQL_PWD=$(cat "$CREDENTIALS/MYSQL_PASSWORD") mariadb --no-defaults --socket="$sockets/mariadb.sock" \
        --user="$(cat "$CREDENTIALS/MYSQL_USER")" "$@" "$(cat "$CREDENTIALS/MYSQL_DATABASE")" >/dev/null
}

bootstrap() {
    (server "$init" --skip-networking --debug-no-sync) &
    server=$!
    until query --execute='select 1' 2>/dev/null; do
        kill -0 "$server" 2>/dev/null || fail "MariaDB stopped while its database was being prepared"
        sleep 0.1
    done
    query <"$SCRIPTS/bootstrap.sql" ||
        fail "the bootstrap SQL failed; the database is made anew at the next start, with the SQL as it is then"
    kill "$server"
    wait "$server"
}

prepare() {
    say "preparing an empty database"
    rm -rf "$init"
    create
    [ ! -s "$SCRIPTS/bootstrap.sql" ] || bootstrap
    find "$init" -exec sync {} +
    mv "$init" "$data"
    sync "$VOLUME"
}

# The first process of a container ignores what it does not handle, and would be waited for until it is killed.
trap 'exit 143' TERM INT
umask 077
rm -rf "$VOLUME/tmp"
mkdir "$VOLUME/tmp"
check_versions
if [ ! -s "$data/mariadb_upgrade_info" ]; then
    # Something else that lies there is not ours to remove; an empty folder may be.
    [ ! -d "$data" ] || rmdir "$data" || fail "$data is neither empty nor a database"
    prepare
fi
server "$data" --bind-address='*'
