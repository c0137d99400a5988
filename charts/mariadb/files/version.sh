#!/bin/sh
# The version of the server in this image, all of it.
set -eu
mariadbd --no-defaults --version | sed 's/^.*Ver \([0-9.]*\).*/\1/'
