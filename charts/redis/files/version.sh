#!/bin/sh
# The version of the server in this image, all of it.
set -eu
server=$(command -v valkey-server || command -v redis-server)
"$server" --version | sed 's/^.* v=\([0-9.]*\).*/\1/'
