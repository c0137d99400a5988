#!/bin/sh
# Every key on stdout, for load.sh: a line each, sorted, of the database's number, the key, when it expires (in
# milliseconds since 1970, 0 = never), and the command that makes it. Keys and arguments are hex digits
# after an x.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
script=$(cat "${0%/*}/dump.lua")

# Of this start of the server: a cursor of another one would leave keys out.
start() { found=$(info server) && printf '%s\n' "$found" | grep '^run_id:'; }

pages() {
    for database; do
        cursor=0
        until [ "$cursor" = end ]; do
            page=$(ask -n "$database" eval "$script" 0 "$database" "$cursor")
            case $page in
                "next "*) ;;
                *) echo "k8s-ee: $(printf %.200s "$page")" >&2; exit 1 ;;
            esac
            cursor=${page%%"
"*}
            cursor=${cursor#next }
            printf '%s\n' "$page" | sed 1d
            [ "$cursor" != 0 ] || cursor=end
        done
    done
}

began=$(start)
found=$(info keyspace)
databases=$(printf '%s\n' "$found" | sed -n 's/^db\([0-9]*\):.*/\1/p')
# Of a pipeline only the last command's end is heard: what comes before says by itself that it got to its end.
exec 4>&1
# shellcheck disable=SC2086 # each database is a word
end=$({ { pages $databases; echo all >&3; } | LC_ALL=C sort -u >&4; } 3>&1)
[ "$end" = all ] || exit 1
[ "$(start)" = "$began" ] || { echo "k8s-ee: the server was restarted meanwhile" >&2; exit 1; }
