#!/bin/sh
# The version of the server in this image, all of it.
set -eu
mongod --version | sed -n 's/^db version v//p'
