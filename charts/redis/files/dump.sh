#!/bin/sh
# Every key on stdout, for load.sh: a line each, sorted, of the database's number, the key, when it expires (in
# milliseconds since 1970, 0 = never), and the command that makes it. Keys and arguments are hex digits
# after an x. A library of functions is a line of its own, without a key.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
script=$(cat "${0%/*}/dump.lua")

# Of this start of the server: a cursor of another one would leave keys out.
start() { found=$(info server) && printf '%s\n' "$found" | grep '^run_id:'; }

# $page of $database: from a cursor, or of one key.
turn() {
    page=$(ask -n "$database" eval "$script" 0 "$database" "$@")
    case $page in
        "next "*) ;;
        *) echo "k8s-ee: $(printf %.200s "$page")" >&2; exit 1 ;;
    esac
    printf '%s\n' "$page" | sed '1d; /^later /d'
}

pages() {
    for database; do
        cursor=0
        until [ "$cursor" = end ]; do
            turn "$cursor"
            cursor=${page%%"
"*}
            cursor=${cursor#next }
            for key in $(printf '%s\n' "$page" | sed -n 's/^later //p'); do turn 0 "$key"; done
            [ "$cursor" != 0 ] || cursor=end
        done
    done
}

# No script may ask for these. What is behind a library's code is the next library, or nothing.
libraries() {
    for name in $(ask function list | sed -n '/^library_name$/{n;p;}'); do
        code=$(ask function list libraryname "$name" withcode | sed '1,/^library_code$/d' | od -An -v -tx1 | tr -d ' \n')
        [ -n "$code" ] || { echo "k8s-ee: the library $name is gone" >&2; return 1; }
        printf '0 x 0 FUNCTION x%s\n' "${code%0a}"
    done
}

began=$(start)
found=$(info keyspace)
databases=$(printf '%s\n' "$found" | sed -n 's/^db\([0-9]*\):.*/\1/p')
# There is little room for what `sort` can't keep in memory, and hex digits are half air.
smaller=$(command -v gzip >/dev/null && sort --help 2>&1 | sed -n 's/^ *\(--compress-program\)=.*/\1=gzip/p') || true
# Of a pipeline only the last command's end is heard: what comes before says by itself that it got to its end.
exec 4>&1
# shellcheck disable=SC2086 # each database is a word; nothing, where there is no such option
end=$({ { libraries; pages $databases; echo all >&3; } | LC_ALL=C sort -u $smaller >&4; } 3>&1)
[ "$end" = all ] || exit 1
[ "$(start)" = "$began" ] || { echo "k8s-ee: the server was restarted meanwhile" >&2; exit 1; }
