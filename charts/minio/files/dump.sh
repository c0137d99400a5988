#!/bin/sh
# Every bucket as a tar archive on stdout, for load.sh. Runs beside the server: objects are files on its volume.
set -eu
cd "${VOLUME:?}"
newline='
'
[ -z "$(find data -name "*$newline*")" ] || { echo "k8s-ee: an object has a line break in its name" >&2; exit 1; }
# Uploads that are not finished yet are in .sgwtmp.
find data meta versions -mindepth 2 ! -path '*/.sgwtmp*' \( -type f -o -type d -empty \) | LC_ALL=C sort | tar -c -f - -T -
