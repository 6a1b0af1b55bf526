#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --memory 2048
# What ./try shows: an image of a real directory, signed, on a real registry, mounted lazily, read, and tampered with.
. "$(dirname "$0")/lib.sh"

# Python's library: some large files, thousands of small ones, and programs can be run from the image.
tree=${SLUICE_TRY_TREE:-/usr/lib/python3.11}
reference=$registry/demo/python:3.11
image=$work/image

mebibytes() {
    awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'
}

show_downloaded() {
    local bytes
    bytes=$(downloaded)
    detail "downloaded so far: $(mebibytes "$bytes") of $(mebibytes "$image_size"), $((bytes * 100 / image_size)) %"
}

# same_file NAME: the file reads the same through the image as in the tree that it was made of.
same_file() {
    expect_equal "$(sha256sum <"$tree/$1")" "$(sha256sum <"$image/$1")" "$1"
    detail "$1: $(stat -c %s "$tree/$1") bytes, SHA-256 as in the original"
}

# offset_in FILE PIECE: where the bytes of PIECE stand in FILE.
offset_in() {
    python3 -c 'import sys
blob, piece = (open(name, "rb").read() for name in sys.argv[1:])
print(blob.find(piece))' "$1" "$2"
}

# fetched: bytes, by the daemon's own account.
fetched() {
    sluicectl status --json | jq .counters.bytes_fetched
}

idle() {
    [ "$(sluicectl status --json | jq .in_flight.bytes)" = 0 ]
}

detail() {
    printf '   %s\n' "$*"
}

# Also ./try on a machine of its own kernel ends here: nothing may be left mounted or running.
clean_up() {
    [ $? -eq 0 ] || show_logs
    findmnt -rno TARGET | grep -F "$work/" | sort -r | xargs -r umount || true
    [ -z "${daemon_pid-}" ] || kill "$daemon_pid" 2>/dev/null || true
    [ -z "${registry_pid-}" ] || stop_registry
}
trap clean_up EXIT

say "1. A registry (Debian's docker-registry, over TLS), and an image of $tree in it, signed with a key of ours"
start_registry
sluicectl publish --ca "$keys/ca.pem" --key "$keys/image.key" --from-dir "$tree" "$reference"

say "2. The daemon, which trusts that key and no other, on $(uname -sr)"
write_config
start_daemon

digest=$(curl -sSf --cacert "$keys/ca.pem" -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
    "https://$registry/v2/demo/python/manifests/3.11" | jq -r '.layers[0].digest')
blob=$(blob_file "$digest")
image_size=$(stat -c %s "$blob")

say "3. Mounted:"
mkdir -p "$image"
sluicectl mount "$reference" "$image"
mount | grep -E " $image " || true
ls "$image" | head -n 5
show_downloaded

say "4. Two small files read, and Python run with its library from the image:"
for name in $(cd "$tree" && find . -type f -size -64k | LC_ALL=C sort | head -n 2); do
    same_file "$name"
done
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3.11 -I -S -c "import sys; sys.path[:] = ['$image']
import email.message; print('   email.message came from', email.message.__file__)"
show_downloaded

say "5. A large file, compared as a whole; and again, without the network:"
large=$(cd "$tree" && find . -type f -printf '%s %p\n' | sort -rn | sed -n '2s/^[0-9]* //p')
same_file "$large"
wait_for 60 "readahead to end" idle
before=$(fetched)
drop_caches
same_file "$large"
expect_equal "$before" "$(fetched)" "bytes fetched for what was already here"
show_downloaded

say "6. In the registry's storage one bit of a block is flipped that nobody has read yet:"
victim=$(cd "$tree" && find . -type f -printf '%s %p\n' | sort -rn | sed -n '1s/^[0-9]* //p')
skip=$(($(stat -c %s "$tree/$victim") / 4096 - 16))
dd if="$tree/$victim" of="$work/piece" bs=4096 skip=$skip count=1 status=none
at=$(offset_in "$blob" "$work/piece")
[ "$at" -ge 0 ] || die "the block of $victim is not in the blob"
tamper "$blob" "$at"
must_fail dd if="$image/$victim" of=/dev/null bs=4096 skip=$skip count=1
expect_text "$work/last-error" 'Input/output error'
detail "block $skip of $victim: $(grep -o 'Input/output error' "$work/last-error"), not a wrong byte"
tamper "$blob" "$at"
mended() {
    dd if="$image/$victim" bs=4096 skip=$skip count=1 status=none | cmp -s - "$work/piece"
}
wait_for 20 "the mended block to be readable" mended
detail "mended in the registry: the same block reads well again"

say "7. What the daemon says:"
sluicectl blobs
sluicectl umount "$image"
stop_daemon
daemon_pid=

say "8. In numbers: from nothing, against a download of the whole image first"
line="over loopback"
if tc qdisc replace dev lo root tbf rate 100mbit burst 256kb latency 100ms 2>/dev/null; then
    line="over a line of 100 Mbit/s"
fi
first=$(cd "$tree" && find . -type f -size -64k | LC_ALL=C sort | tail -n 1)
now() {
    date +%s%3N
}
since() {
    awk -v ms="$(($(now) - $1))" 'BEGIN { printf "%.2f s", ms / 1000 }'
}
read_whole() {
    find "$1" -type f -print0 | xargs -0r cat >/dev/null
}

rm -rf "${cache:?}"/*
drop_caches
start_daemon
begun=$(now)
sluicectl mount "$reference" "$image"
head -c 1 "$image/$first" >/dev/null
lazy_first=$(since "$begun")
lazy_bytes=$(fetched)
read_whole "$image"
lazy_whole=$(since "$begun")
front_end=$(sluicectl status --json | jq -r .front_end.name)
whole_bytes=$(fetched)
sluicectl umount "$image"
stop_daemon
daemon_pid=

drop_caches
begun=$(now)
curl -sSf --cacert "$keys/ca.pem" "https://$registry/v2/demo/python/blobs/$digest" -o "$work/pulled"
expect_equal "${digest#sha256:}" "$(sha256sum "$work/pulled" | cut -d ' ' -f 1)" "what was pulled"
pull_first="not mounted" pull_whole="not mounted"
mkdir -p "$work/whole"
if mount -t erofs -o loop,ro "$work/pulled" "$work/whole" 2>/dev/null; then
    head -c 1 "$work/whole/$first" >/dev/null
    pull_first=$(since "$begun")
    read_whole "$work/whole"
    pull_whole=$(since "$begun")
    umount "$work/whole"
fi
tc qdisc del dev lo root 2>/dev/null || true

table() {
    printf '   %-38s %18s %18s\n' "$@"
}
table "$line" "sluice ($front_end)" "full pull"
table "size of the image" "$(mebibytes "$image_size")" "$(mebibytes "$image_size")"
table "downloaded before the first byte" "$(mebibytes "$lazy_bytes")" "$(mebibytes "$image_size")"
table "time to the first byte, mount included" "$lazy_first" "$pull_first"
table "downloaded for the whole tree" "$(mebibytes "$whole_bytes")" "$(mebibytes "$image_size")"
table "time for the whole tree" "$lazy_whole" "$pull_whole"
say "All of it worked: every byte that was read had been proved against the signature."
