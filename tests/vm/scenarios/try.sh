#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --memory 2048
# What ./try shows: an image of a real directory, signed, on a real registry, mounted lazily, read, and tampered with.
. "$(dirname "$0")/lib.sh"

# The compiler's own folder: some very large files, many small ones, and it can be run from the image.
tree=${SLUICE_TRY_TREE:-$(dirname "$(gcc -print-prog-name=cc1plus)")}
reference=$registry/demo/compiler:12
image=$work/image

mebibytes() {
    awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'
}

show_downloaded() {
    local bytes
    bytes=$(downloaded)
    say "   downloaded so far: $(mebibytes "$bytes") of $(mebibytes "$image_size"), $((bytes * 100 / image_size)) %"
}

# same_file NAME: the file reads the same through the image as in the tree that it was made of.
same_file() {
    expect_equal "$(sha256sum <"$tree/$1")" "$(sha256sum <"$image/$1")" "$1"
    say "   $1: $(stat -c %s "$tree/$1") bytes, SHA-256 as in the original"
}

# offset_in FILE PIECE: where the bytes of PIECE stand in FILE.
offset_in() {
    python3 -c 'import mmap, sys
blob = mmap.mmap(open(sys.argv[1], "rb").fileno(), 0, prot=mmap.PROT_READ)
print(blob.find(open(sys.argv[2], "rb").read()))' "$1" "$2"
}

# Also ./try on a machine of its own kernel ends here: nothing may be left mounted or running.
clean_up() {
    [ $? -eq 0 ] || tail -n 30 "$work"/*.log
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
    "https://$registry/v2/demo/compiler/manifests/12" | jq -r '.layers[0].digest')
blob=$(blob_file "$digest")
image_size=$(stat -c %s "$blob")

say "3. Mounted:"
mkdir -p "$image"
sluicectl mount "$reference" "$image"
mount | grep -E " $image " || true
ls "$image" | head -n 5
show_downloaded

say "4. Two small files read, and the compiler run from the image:"
for name in $(cd "$tree" && find . -type f -size -64k | LC_ALL=C sort | head -n 2); do
    same_file "$name"
done
"$image/cc1plus" --version </dev/null 2>&1 | head -n 1
show_downloaded

say "5. A large file, compared as a whole; and again, without the network:"
large=$(cd "$tree" && find . -type f -printf '%s %p\n' | sort -rn | sed -n '2s/^[0-9]* //p')
same_file "$large"
before=$(downloaded)
drop_caches
same_file "$large"
expect_equal "$before" "$(downloaded)" "bytes downloaded for what was already here"
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
say "   block $skip of $victim: $(grep -o 'Input/output error' "$work/last-error"), not a wrong byte"
tamper "$blob" "$at"
dd if="$image/$victim" bs=4096 skip=$skip count=1 status=none | cmp - "$work/piece" || die "the mended block reads wrong"
say "   mended in the registry: the same block reads well again"

say "7. What the daemon says:"
sluicectl blobs
sluicectl umount "$image"
stop_daemon
daemon_pid=
say "All of it worked: every byte that was read had been proved against the signature."
