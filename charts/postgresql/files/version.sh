#!/bin/sh
# The version of the server in this image, all of it.
set -eu
postgres --version | sed 's/^[^0-9]*\([0-9.]*\).*/\1/'
