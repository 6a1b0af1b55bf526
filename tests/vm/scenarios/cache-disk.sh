#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The cache on other disks than ext4 with blocks of 4 KiB, see run-guest --cache-fs: cold, from the disk, after a restart.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
make_tree "$work/tree"
publish --from-dir "$work/tree" "$registry/app:v1"
write_config
say "$(findmnt -no FSTYPE "$cache") with blocks of $(stat -fc %S "$cache"), $(uname -r)"
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
digest=$(blob_of "$registry/app:v1")
size=$(json blobs '.blobs[0].erofs_size')

say "a part of it: what was not read is a hole"
expect_equal "$(sha256sum <"$work/tree/small/65536")" "$(sha256sum <"$work/mnt/small/65536")" small/65536
present=$(json blobs '.blobs[0].present')
[ "$present" -gt 0 ] && [ "$present" -lt "$size" ] || die "$present of $size bytes are present"

say "all of it, by eight readers"
compare_cold "$work/tree" "$work/mnt"
expect_equal "$size" "$(json blobs '.blobs[0].present')" "bytes present"
drop_caches
same_tree "$work/tree" "$work/mnt"
expect_equal "$size" "$(counter bytes_fetched)" "bytes fetched"
expect_equal 0 "$(counter reads_failed)" "failed reads"

cookie=$(cookie_of "$digest")
say "after a restart nothing is fetched again, and every byte on the disk is right"
sluicectl umount "$work/mnt"
wait_for 60 "the layer to be released" no_layers
stop_daemon
only_proved "$(backing_file "$cookie")" "$(blob_file "$digest")" "$size"
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
same_tree "$work/tree" "$work/mnt"
expect_equal 0 "$(counter bytes_fetched)" "bytes fetched after the restart"
sluicectl umount "$work/mnt"
stop_daemon
