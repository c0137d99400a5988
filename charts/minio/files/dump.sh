#!/bin/sh
# Every bucket as a tar archive on stdout, for load.sh. Runs beside the server: objects are files on its volume.
set -eu
cd "${VOLUME:?}"
newline='
'
broken=$(find data -name "*$newline*")
[ -z "$broken" ] || { echo "k8s-ee: an object has a line break in its name" >&2; exit 1; }
# Uploads that are not finished yet are in .sgwtmp. Step by step: of a pipeline only the last command's end is heard.
found=$(find data meta versions -mindepth 2 ! -path '*/.sgwtmp*' \( -type f -o -type d -empty \))
# Busybox makes no archive of nothing. A folder has a time, and the same content is the same dump.
[ -n "$found" ] || { touch -d '2000-01-01 00:00:00' versions; found=versions; }
sorted=$(printf '%s\n' "$found" | LC_ALL=C sort)
printf '%s\n' "$sorted" | tar -c -f - -T -
