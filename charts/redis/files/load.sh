#!/bin/sh
# Reads what dump.sh wrote from stdin. Exit 3, and nothing done, where there are keys or functions already: `load.sh check`
# only says that. What was read before an error is wiped again.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
found=$(info keyspace)
case $found in *"
db"[0-9]*) echo "k8s-ee: there are keys already" >&2; exit 3 ;; esac
case $(ask function list) in library_name*) echo "k8s-ee: there are functions already" >&2; exit 3 ;; esac
[ "${1:-}" != check ] || exit 0
script=$(ask script load "$(cat "${0%/*}/load.lua")")
awk=$(command -v awk || command -v mawk)
# Editors add line ends of their own, and empty lines at the end. Anything else that is no line of a dump ends it.
# shellcheck disable=SC2016 # awk's own variables
commands() {
    LC_ALL=C "$awk" -v script="$script" '
        BEGIN { for (byte = 0; byte < 256; byte++) bytes[sprintf("%02x", byte)] = sprintf("%c", byte) }
        { sub(/\r$/, "") }
        /^$/ { next }
        # As one expression, `( x[0-9a-f]*)+`, it takes 80 bytes of memory for each digit in some of them.
        {
            rest = match($0, /^[0-9]+ x[0-9a-f]* [0-9]+ (SET|RPUSH|HSET|SADD|ZADD|RESTORE|FUNCTION) x/) ? substr($0, RLENGTH - 1) : "?"
        }
        rest ~ /[^0-9a-f x]/ || rest ~ /[^ ]x/ || rest ~ / [^x]/ || rest ~ / $/ {
            print "k8s-ee: line " NR " is none of a dump" >"/dev/stderr"
            exit 1
        }
        # No script may load these.
        /^0 x 0 FUNCTION x/ {
            code = ""
            for (at = 3; at < length(rest); at += 2) code = code bytes[substr(rest, at, 2)]
            printf "*3\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$%d\r\n%s\r\n", length(code), code
            next
        }
        { printf "*4\r\n$7\r\nEVALSHA\r\n$%d\r\n%s\r\n$1\r\n0\r\n", length(script), script }
        { printf "$%d\r\n%s\r\n", length($0), $0 }
    '
}
# Of a pipeline only the last command's end is heard: what comes before says by itself that it got to its end.
end=$({ { commands && echo all >&3; } | ask --pipe >&2; } 3>&1) || end=
[ "$end" = all ] || { sh "${0%/*}/wipe.sh"; exit 1; }
