#!/bin/sh
# Gives the app's login the password in the file $NEW, by the one it has. Done before, it does nothing.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
new=$(cat "$NEW")
case $new in *[!A-Za-z0-9_-]*) echo "k8s-ee: a new password is of letters, digits, - and _" >&2; exit 1 ;; esac
change="acl setuser default resetpass >$new"
if [ "$(REDISCLI_AUTH=$new ask ping 2>&1)" = PONG ]; then REDISCLI_AUTH=$new change=ping; fi
# On stdin, as everybody may read a command line. Saved again: the time before, it may have been killed in between.
answer=$(printf '%s\nacl save\n' "$change" | ask 2>&1)
case $answer in *OK) ;; *) echo "k8s-ee: the password was not changed" >&2; exit 1 ;; esac
