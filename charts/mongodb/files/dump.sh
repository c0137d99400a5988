#!/bin/sh
# The app's database as an archive on stdout, for load.sh.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
login
quietly mongodump --config "$config" --archive --numParallelCollections 1
