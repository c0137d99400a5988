#!/bin/sh
# The version of the server in this image, all of it.
set -eu
versitygw --version | sed -n 's/^Version *: *v*//p'
