#!/bin/sh
# Reads every bucket from a tar archive on stdin. Exit 3, and nothing done, where there are objects already: `load.sh
# check` only says that.
set -eu
cd "${VOLUME:?}"
# A folder is an object where it has what belongs to one: its name ends with a slash then.
present=$(cd data && find . -mindepth 2 ! -path '*/.sgwtmp*' \
    \( -type f -o -type d -exec test -e '../meta/{}/meta/etag' \; \) -print -quit)
[ -z "$present" ] || { echo "k8s-ee: there are objects" >&2; exit 3; }
[ "${1:-}" != check ] || exit 0
rm -rf load
mkdir load
trap 'rm -rf load' EXIT
tar -x -f - -C load
[ -d load/data ] || [ -d load/meta ] || [ -d load/versions ] || { echo "k8s-ee: this is no dump of object storage" >&2; exit 1; }
# What belongs to objects comes first: cut off before the objects, loading can begin again.
for folder in meta versions data; do
    for bucket in "load/$folder"/*; do
        [ -d "$bucket" ] || continue
        name=${bucket##*/}
        rm -rf "$folder/${name:?}"
        mv "$bucket" "$folder/"
    done
done
# A dump has files, and so no bucket that is empty: only its settings. What belongs to older versions lies beside them, by
# the path of the volume.
for bucket in meta/*; do
    [ ! -d "$bucket/meta" ] || mkdir -p "data/${bucket##*/}"
done
