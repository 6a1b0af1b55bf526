# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Helpers of the scenarios: source it first. A scenario runs as root in a guest that is thrown away afterwards, with
# SLUICE_BUILD_DIR, SLUICE_SOURCE_DIR and SLUICE_KERNEL set, /cache empty, and /out shared with the host; or natively in
# namespaces of its own, see tests/native/run-native.
set -euo pipefail
exec 3>&2 # where die and the last words go, whatever is redirected around them

build=${SLUICE_BUILD_DIR:?}
: "${SLUICE_KERNEL:?is set by run-guest and run-native, which keep what happens away from this machine}"
keys=$build/tests/vm/keys # see make-keys
work=${SLUICE_WORK:-/tmp/scenario}
cache=${SLUICE_CACHE:-/cache}
registry=localhost:5443
registry_root=$work/registry
registry_log=$work/registry.log
export SSL_CERT_FILE=$keys/ca.pem
mkdir -p "$work"

say() {
    printf '== %s\n' "$*"
}

die() {
    printf 'FAILED: %s\n' "$*" >&3
    exit 1
}

# guest_only: for scenarios that write outside $work and $cache, or need the machine for themselves.
guest_only() {
    [ "$SLUICE_KERNEL" != native ] || die "this scenario is for guests: it would change this machine"
}

skip() {
    printf 'skipped: %s\n' "$*" >&2
    exit 77
}

# expect_kernel REGEX: kernel messages that match are this scenario's purpose, not a fault.
expect_kernel() {
    printf '%s\n' "$1" >>"${SLUICE_OUT:-/out}/expected-kernel"
}

# wait_for SECONDS WHAT COMMAND...: runs COMMAND until it succeeds; fails, naming WHAT, once SECONDS are over.
wait_for() {
    local limit=$1 what=$2 end=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || die "waited $limit s for: $what"
        read -rt 0.1 <> <(:) || true
    done
}

# must_fail COMMAND...: the command has to fail; its output goes to $work/last-error. Runs in a subshell: die ends only that.
must_fail() {
    if ("$@") >"$work/last-error" 2>&1 3>&1; then
        die "succeeded, but should have failed: $*"
    fi
}

# expect_text FILE REGEX
expect_text() {
    grep -Eq "$2" "$1" || die "$1 does not match /$2/: $(head -c 2000 "$1")"
}

expect_equal() {
    [ "$1" = "$2" ] || die "${3:-values differ}: expected '$1', got '$2'"
}

drop_caches() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

# make_tree DIR: files of many sizes around block borders, empty ones, links, an odd name; the same bytes every time.
make_tree() {
    local dir=$1 size
    mkdir -p "$dir/small" "$dir/deep/a/b/c" "$dir/empty-folder"
    for size in 0 1 4095 4096 4097 65536 131073 1048577; do
        random_bytes "$size" "tree-$size" >"$dir/small/$size"
    done
    random_bytes 8388608 tree-large >"$dir/large"
    printf '#!/bin/sh\necho run from the image\n' >"$dir/run-me"
    chmod 755 "$dir/run-me"
    random_bytes 20000 tree-deep >"$dir/deep/a/b/c/file"
    ln "$dir/small/4097" "$dir/deep/hard-link"
    ln -s ../run-me "$dir/deep/link"
    echo odd >"$dir/a name with blanks and ümlauts"
}

# random_bytes COUNT SEED: bytes that compress badly and are the same for the same seed.
random_bytes() {
    openssl enc -aes-128-ctr -nosalt -pbkdf2 -iter 1 -pass "pass:$2" -in /dev/zero 2>/dev/null | head -c "$1" || true
}

# sums DIR: SHA-256 of every file, sorted by name, with names as seen from DIR.
sums() {
    (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum)
}

# same_tree A B: same names, kinds, modes, link targets and contents.
same_tree() {
    local listing="find . -printf %p|%y|%m|%l\n"
    diff <(cd "$1" && $listing | LC_ALL=C sort) <(cd "$2" && $listing | LC_ALL=C sort) || die "the trees $1 and $2 differ"
    diff <(sums "$1") <(sums "$2") || die "files in $1 and $2 differ"
}

# start_registry [PORT]: Debian's docker-registry over TLS at https://localhost:PORT; storage in $registry_root,
# one line a request in $registry_log. Sets registry_pid.
start_registry() {
    local port=${1:-5443}
    mkdir -p "$registry_root"
    cat >"$work/registry.yml" <<YML
version: 0.1
log: { level: warn, accesslog: { disabled: false } }
storage: { filesystem: { rootdirectory: $registry_root }, delete: { enabled: true } }
http: { addr: "127.0.0.1:$port", secret: guest, tls: { certificate: $keys/server.pem, key: $keys/server.key } }
YML
    docker-registry serve "$work/registry.yml" >>"$registry_log" 2>&1 3>&- &
    registry_pid=$!
    wait_for 60 "the registry on port $port" curl -sf --cacert "$keys/ca.pem" "https://localhost:$port/v2/"
}

stop_registry() {
    kill "$registry_pid" 2>/dev/null || true
    wait "$registry_pid" 2>/dev/null || true
}

# blob_file DIGEST: where the registry keeps the bytes of sha256:<hex>.
blob_file() {
    local hex=${1#sha256:}
    printf '%s/docker/registry/v2/blobs/sha256/%s/%s/data\n' "$registry_root" "${hex:0:2}" "$hex"
}

# downloaded: bytes of blobs that the registry has sent so far, by its own log (the field after the status).
downloaded() {
    awk '$6 == "\"GET" && $7 ~ /\/blobs\// { sum += $10 } END { printf "%d\n", sum }' "$registry_log"
}

# tamper FILE OFFSET: flips one bit.
tamper() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# write_config [DIRECTIVE...]: a configuration for sluiced that trusts image.pub and the test registry.
write_config() {
    {
        printf 'dir %s\n' "$cache"
        printf 'trusted-key %s\n' "$keys/image.pub"
        printf 'registry-ca %s\n' "$keys/ca.pem"
        printf 'control-socket %s\n' "$work/control.sock"
        printf 'layers-dir %s\n' "$work/layers"
        printf 'blobs-dir %s\n' "$work/blobs"
        printf 'front-end %s\n' "${SLUICE_FRONT_END:-auto}"
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >"$work/sluiced.conf"
}

sluicectl() {
    "$build/tools/sluicectl" --socket "$work/control.sock" "$@"
}

# start_daemon [OPTION...]: starts sluiced with the configuration of write_config and waits until it answers.
start_daemon() {
    "$build/daemon/sluiced" -n -f "$work/sluiced.conf" "$@" >>"$work/sluiced.log" 2>&1 3>&- &
    daemon_pid=$!
    wait_for 30 "sluiced to answer" daemon_answers
    # Which device number its FUSE file system has, if there is one: so loop devices can be told from other people's.
    awk -v dir="$work/blobs/" 'index($5, dir) == 1 { print $3 }' /proc/self/mountinfo >>"$work/blob-devices"
}

daemon_answers() {
    kill -0 "$daemon_pid" 2>/dev/null || die "sluiced ended: $(tail -n 20 "$work/sluiced.log")"
    sluicectl status
}

stop_daemon() {
    kill "$daemon_pid"
    wait "$daemon_pid" || die "sluiced did not end well: $(tail -n 20 "$work/sluiced.log")"
}

# On failure the logs are what one wants to see; of a registry's, which has a line a request, a little.
show_logs() {
    local log lines
    for log in "$work"/*.log; do
        lines=40
        [ "$log" != "$registry_log" ] || lines=8
        [ ! -s "$log" ] || printf '%s\n' "---- the end of $log" "$(tail -n $lines "$log")" >&3
    done
}
trap '[ $? -eq 0 ] || show_logs' EXIT
