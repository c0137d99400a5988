#!/bin/sh
# Every bucket as a tar archive on stdout, for load.sh. Runs beside the server: objects are files on its volume.
set -eu
cd "${VOLUME:?}"
newline='
'
broken=$(find data -name "*$newline*")
[ -z "$broken" ] || { echo "k8s-ee: an object has a line break in its name" >&2; exit 1; }
# Uploads that are not finished yet are in .sgwtmp. The three folders themselves are listed where they are empty: busybox
# makes no archive of nothing. Step by step: of a pipeline only the last command's end is heard.
found=$(find data meta versions ! -path '*/.sgwtmp*' \( -type f -o -type d -empty \))
sorted=$(printf '%s\n' "${found:-meta}" | LC_ALL=C sort)
printf '%s\n' "$sorted" | tar -c -f - -T -
