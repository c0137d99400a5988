#!/bin/sh
# Gives the app's access key the secret in the file $NEW, by the one it has. Done before, it does nothing.
set -eu
# shellcheck source=ready.sh
. "${0%/*}/ready.sh"
login
new=$(cat "$NEW") old=$secret
secret=$new
if lists >/dev/null; then exit 0; fi
secret=$old
body="<MutableProps><Secret>$new</Secret></MutableProps>"
hashed=$(printf %s "$body" | hash)
sign PATCH /update-user "access=$access" "$hashed"
name=${host%:*}
name=${name#[}
answer=$(
    printf '%s\r\n' "PATCH /update-user?access=$access HTTP/1.1" "Host: $host" "Authorization: $authorization" \
        "x-amz-date: $now" "x-amz-content-sha256: $hashed" "Content-Length: ${#body}" "Connection: close" "" "$body" |
        nc -w 5 "${name%]}" "${host##*:}"
)
case $answer in
    "HTTP/1.1 200"*) ;;
    *) echo "k8s-ee: the secret was not changed: $(printf %s "$answer" | head -n 1)" >&2; exit 1 ;;
esac
