#!/bin/sh
# ready.sh [SECONDS]: the app's own access key lists its own bucket over the network, the way the app goes; from $HOST
# if that is set. With a number, tries again for so long: the kubelet itself asks once a second at most.
#
# The image has no S3 client. SHA-256 is all that signing a request takes:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
set -eu
trap 'exit 143' TERM

# The functions work on stdin, and on bytes as hex digits.
hash() { sum=$(sha256sum); echo "${sum%% *}"; }

# $escapes: the bytes $1 for `printf %b`, each combined with $2 by exclusive or.
escape() {
    left=$1 escapes=
    while [ -n "$left" ]; do
        byte=$((0x${left%"${left#??}"} ^ $2)) left=${left#??}
        escapes="$escapes\\0$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
    done
}

# HMAC-SHA-256 by the key $1.
hmac() {
    padded=$1
    [ ${#padded} -le 128 ] || { escape "$padded" 0; padded=$(printf %b "$escapes" | hash); }
    while [ ${#padded} -lt 128 ]; do padded=${padded}00; done
    escape "$padded" 54
    inner=$({ printf %b "$escapes"; cat; } | hash)
    escape "$padded" 92
    outer=$escapes
    escape "$inner" 0
    printf %b "$outer$escapes" | hash
}

# $key: what requests of the day $1 are signed with. Nothing to do when it is there already: it is most of the work.
derive() {
    [ "$1/$region/$secret" != "${derived:-}" ] || return 0
    key=$(printf %s "AWS4$secret" | od -An -v -tx1 | tr -d ' \n')
    for part in "$1" "$region" s3 aws4_request; do key=$(printf %s "$part" | hmac "$key"); done
    derived=$1/$region/$secret
}

# $now and $authorization: headers for the method $1, path $2, query $3 and a body whose hash is $4.
sign() {
    now=$(date -u +%Y%m%dT%H%M%SZ)
    scope=${now%T*}/$region/s3/aws4_request names='host;x-amz-content-sha256;x-amz-date'
    asked=$(printf '%s\n%s\n%s\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n%s\n%s' \
        "$1" "$2" "$3" "$host" "$4" "$now" "$names" "$4" | hash)
    derive "${now%T*}"
    signature=$(printf 'AWS4-HMAC-SHA256\n%s\n%s\n%s' "$now" "$scope" "$asked" | hmac "$key")
    authorization="AWS4-HMAC-SHA256 Credential=$access/$scope, SignedHeaders=$names, Signature=$signature"
}

# Where to, and who: from the variables the app has.
login() {
    access=$(cat "$CREDENTIALS/S3_ACCESS_KEY") secret=$(cat "$CREDENTIALS/S3_SECRET_KEY")
    bucket=$(cat "$CREDENTIALS/S3_BUCKET") endpoint=$(cat "$CREDENTIALS/S3_ENDPOINT")
    region=$(cat "$CREDENTIALS/S3_REGION" 2>/dev/null || echo us-east-1)
    port=$(cat "$CREDENTIALS/MINIO_PORT" 2>/dev/null || echo 9000)
    case ${HOST:-} in
        '') ;;
        *:*) endpoint=http://[$HOST]:$port ;;
        *) endpoint=http://$HOST:$port ;;
    esac
    endpoint=${endpoint%/} host=${endpoint#*://}
}

lists() {
    # While nobody listens there is nobody to ask, and asking would take time from the server that is being started.
    [ -z "${VOLUME:-}" ] || grep -q "$(printf '^ *[0-9]*: [0-9A-F]*:%04X [0-9A-F]*:0000 0A ' "$port")" \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null || { echo "nobody listens on port $port"; return 1; }
    nothing=$(hash </dev/null)
    sign GET "/$bucket" max-keys=1 "$nothing"
    wget -q -T "${longest:-3}" -O /dev/null --header "Host: $host" --header "Authorization: $authorization" \
        --header "x-amz-date: $now" --header "x-amz-content-sha256: $nothing" "$endpoint/$bucket?max-keys=1" 2>&1
}

# $seconds of the machine, without a process of its own for each look.
clock() { read -r seconds _ </proc/uptime; seconds=${seconds%.*}; }

# Other scripts read this one for its functions.
if [ "${0##*/}" = ready.sh ]; then
    clock
    # Nodes refuse who asks a Service with nobody behind it six times at once, then once a second, and let others hang.
    # So many questions are asked in the first two seconds; most databases are there soon after.
    # A question that is asked while they learn of an address may get lost on the way, however often it is repeated.
    pause=0.3 later=1 longest=1
    [ -z "${HOST:-}" ] || pause=0.1 later=0.5 longest=3
    patient=$((seconds + 10)) end=$((seconds + ${1:-0}))
    login
    derive "$(date -u +%Y%m%d)"
    # While the secret is being changed, the server may have the next one already.
    next() { [ -s "$CREDENTIALS/NEXT" ] && secret=$(cat "$CREDENTIALS/NEXT") lists; }
    until error=$(lists || next); do
        clock; [ "$seconds" -lt "$end" ] || { echo "gave up: $error" >&2; exit 1; }
        # One that takes long has better use for the processor.
        if [ "$seconds" -lt "$patient" ]; then sleep "$pause"; else longest=3 && sleep "$later"; fi
    done
fi
