#!/bin/sh
# Every key on stdout, for load.sh: a line each, sorted, of the database's number, the key, when it expires (in
# milliseconds since 1970, 0 = never), and the command that makes it. Keys and arguments are hex digits
# after an x.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
script=$(cat "${0%/*}/dump.lua")
for database in $(ask info keyspace | sed -n 's/^db\([0-9]*\):.*/\1/p'); do
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
done | LC_ALL=C sort -u
