#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No unproved byte is ever visible: tampered data, a tampered tree, a cut blob, a key that nobody trusts, no signature.
# Readers get EIO, mounts are refused with the reason, the daemon lives, and all works again once the fault is gone.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
mkdir "$work/tree"
random_bytes 4194304 tamper >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"
write_config 'read-ahead 0' 'read-deadline 5s'
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
digest=$(blob_of "$registry/app:v1")
erofs_size=$(json blobs '.blobs[0].erofs_size')
data=$(blob_file "$digest")
cp "$data" "$work/good"

block() {
    dd if="$1/file" bs=4096 skip="$2" count=1 status=none
}

same_block() {
    cmp -s <(block "$work/mnt" "$1") <(block "$work/tree" "$1")
}

say "a tampered block is refused with EIO, its neighbours are not"
offset=$(find_content "$data" 4096 "$(block "$work/tree" 512 | sha256sum | cut -d ' ' -f 1)")
tamper "$data" "$offset"
must_fail block "$work/mnt" 512
expect_text "$work/last-error" 'Input/output error'
[ "$(counter verify_failures)" -ge 1 ] || die "no failed proof was counted"
expect_text "$work/sluiced.log" "offset $offset does not match the signed hash tree"
for neighbour in 511 513; do
    same_block $neighbour || die "block $neighbour, beside the tampered one, cannot be read"
done
must_fail block "$work/mnt" 512
same_block 100 || die "a block far from the tampered one cannot be read"
json blobs '.blobs[0].last_error.message' | grep -q 'signed hash tree' || die "sluicectl blobs does not say why"

say "mended, it is read right"
cp "$work/good" "$data"
wait_for 20 "the block to be readable" same_block 512

say "a cut blob: EIO for what is gone, and right again when it is back"
truncate -s $((erofs_size / 2)) "$data"
must_fail block "$work/mnt" 900
expect_text "$work/last-error" 'Input/output error'
cp "$work/good" "$data"
wait_for 20 "the block to be readable" same_block 900

say "the backing file holds proved bytes and nothing else"
cookie=$(cookie_of "$digest")
sluicectl umount "$work/mnt"
stop_daemon
only_proved "$(backing_file "$cookie")" "$work/good" "$erofs_size"
start_daemon

say "a tampered hash tree proves nothing: the mount is refused and says why"
random_bytes 4194304 second >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v2"
data=$(blob_file "$(latest_blob)")
cp "$data" "$work/good"
erofs_size=$(($(stat -c %s "$work/tree/file") / 4096 * 4096))
for offset in $((erofs_size + 5)) $((erofs_size + 8192)) $((erofs_size + 20000)); do
    tamper "$data" "$offset"
done
must_fail mount_image "$registry/app:v2" "$work/mnt"
expect_text "$work/last-error" 'hash (tree|block)|does not match'
not_mounted "$work/mnt" || die "a failed mount left a mount behind"
cp "$work/good" "$data"
mount_image "$registry/app:v2" "$work/mnt"
cmp "$work/mnt/file" "$work/tree/file"
sluicectl umount "$work/mnt"

say "a signature by a key that nobody trusts"
publish_as other --from-dir "$work/tree" "$registry/foreign:v1"
must_fail mount_image "$registry/foreign:v1" "$work/mnt"
expect_text "$work/last-error" 'sha256-[0-9a-f]{64}\.sig'
not_mounted "$work/mnt"

say "no signature at all"
rm -r "$registry_root"/docker/registry/v2/repositories/foreign/_manifests/tags/sha256-*
must_fail mount_image "$registry/foreign:v1" "$work/mnt"
expect_text "$work/last-error" 'no signature'
not_mounted "$work/mnt"
wait_for 60 "layers to be released" no_layers
daemon_answers
stop_daemon
