# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Helpers of the scenarios that run sluiced; source it instead of lib.sh.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# publish INPUT-OPTION... REF: signed with the key that write_config trusts.
publish() {
    publish_as image "$@"
}

# publish_as KEY INPUT-OPTION... REF
publish_as() {
    local key=$1
    shift
    "$build/tools/sluicectl" publish --ca "$keys/ca.pem" --key "$keys/$key.key" "$@" >>"$work/publish.log" 2>&1 ||
        die "publish $*: $(tail -n 5 "$work/publish.log")"
}

# mount_image REF DIR [OPTION...]
mount_image() {
    mkdir -p "$2"
    sluicectl mount "${@:3}" "$1" "$2"
}

# json images|blobs|status FILTER
json() {
    sluicectl "$1" --json | jq -r "$2"
}

# counter NAME: of the daemon's status.
counter() {
    json status ".counters.$1"
}

# blob_of REF: digest of the first layer of a registered image.
blob_of() {
    json images ".images[] | select(.reference == \"$1\") | .layers[0].digest"
}

no_layers() {
    ! grep -qF " $work/layers/" /proc/self/mountinfo
}

not_mounted() {
    ! grep -qF " $1 " /proc/self/mountinfo
}

# compare_cold A B: B's files have the bytes of A's, read by eight processes in random order and in all the ways that
# programs read, while the kernel's caches are dropped over and over.
compare_cold() {
    "$SLUICE_SOURCE_DIR/tests/native/read_all.py" "$1" "$2" 8 256 || die "files in $1 and $2 differ"
}

# served_bytes NAME: bytes of blobs of repository NAME that the registry's own log says it sent.
served_bytes() {
    awk -v name="/v2/$1/blobs/" 'index($0, "\"GET " name) && match($0, /" (200|206) [0-9]+ /) {
        split(substr($0, RSTART, RLENGTH), field, " "); total += field[3]
    } END { printf "%d\n", total }' "$registry_log"
}

# served_once NAME BYTES: the registry's own log, written behind its answers, knows of BYTES for the blobs of repository
# NAME, and beside them only of the hash trees and of what registration looks at.
served_once() {
    wait_for 30 "the registry's log" has_served "$@"
    [ "$(served_bytes "$1")" -le $(($2 + $2 / 32 + 262144)) ] || die "$(served_bytes "$1") bytes of $1 were served, not $2"
}

has_served() {
    [ "$(served_bytes "$1")" -ge "$2" ]
}

# find_content FILE SIZE SHA256: offset of the 4096-aligned piece of SIZE bytes with this hash.
find_content() {
    python3 - "$@" <<'PY'
import hashlib, sys
data = open(sys.argv[1], "rb").read()
size = int(sys.argv[2])
for at in range(0, len(data), 4096):
    if hashlib.sha256(data[at:at + size]).hexdigest() == sys.argv[3]:
        print(at)
        break
else:
    sys.exit("not found")
PY
}

# cookie_of DIGEST: what a blob's cache file is named by. Asks the daemon, which must run.
cookie_of() {
    json blobs ".blobs[] | select(.digest == \"$1\") | .cookie"
}

# backing_file COOKIE: the cache file of a blob that is not mounted.
backing_file() {
    local found
    found=$(find "$cache/cache" -name "D$1")
    [ -n "$found" ] || die "there is no backing file named $1"
    printf '%s\n' "$found"
}

# only_proved BACKING PUBLISHED SIZE: every block of BACKING is a hole or equal to the published, untampered one.
only_proved() {
    python3 - "$@" <<'PY'
import os, sys
backing, published = (os.open(path, os.O_RDONLY) for path in sys.argv[1:3])
at, end, present = 0, int(sys.argv[3]), 0
while at < end:
    try:
        at = os.lseek(backing, at, os.SEEK_DATA)
    except OSError:
        break
    hole = min(os.lseek(backing, at, os.SEEK_HOLE), end)
    while at < hole:
        size = min(1 << 20, hole - at)
        if os.pread(backing, size, at) != os.pread(published, size, at):
            sys.exit(f"bytes at {at} are not those that were published")
        at += size
        present += size
if present == 0:
    sys.exit("the backing file holds nothing at all")
PY
}

# latest_blob: digest of the largest blob that the registry got within the last minute.
latest_blob() {
    local file
    file=$(find "$registry_root" -name data -newer "$work/sluiced.conf" -printf '%T@ %s %p\n' | awk '$2 > 1000000' |
        sort -n | tail -n 1 | cut -d ' ' -f 3-)
    [ -n "$file" ] || die "the registry got no large blob"
    basename "$(dirname "$file")"
}

# wait_all WHAT PID...: all of them must end well.
wait_all() {
    local what=$1 job
    shift
    for job in "$@"; do
        wait "$job" || die "$what: a process of them ended with status $?"
    done
}

idle() {
    [ "$(json status .in_flight.bytes)" = 0 ]
}

pending_reads() {
    [ "$(json status .in_flight.reads)" -gt 0 ]
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

not_mounted_below() {
    ! grep -qF " $1/" /proc/self/mountinfo
}
