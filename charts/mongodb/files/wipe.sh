#!/bin/sh
# Drops the app's database; its user stays.
set -eu
export HOME=/tmp
exec mongosh --nodb --norc --quiet --file "${0%/*}/wipe.js"
