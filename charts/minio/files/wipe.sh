#!/bin/sh
# Deletes every bucket and object, and makes the app's bucket anew. Runs beside the server, as the app's own user.
set -eu
cd "${VOLUME:?}"
rm -rf wiped
mkdir wiped
for folder in data meta versions; do
    mkdir "wiped/$folder"
    for bucket in "$folder"/*; do
        [ ! -e "$bucket" ] || mv "$bucket" "wiped/$folder/"
    done
done
mkdir "data/$(cat "$CREDENTIALS/S3_BUCKET")"
rm -rf wiped
