#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --boots 2
# The machine goes down in the middle of filling, with nothing written back. The second boot has the same disk, and every
# byte that is read then is right; after an orderly stop nothing is looked at again.
. "$(dirname "$0")/lib-sluice.sh"

guest_only
registry_root=$cache/registry # on the disk that survives
lock=$cache/sluice/lock

filling() {
    [ "$(counter bytes_written)" -gt 12582912 ]
}

looked() {
    [ "$(grep -c 'cached blobs after a stop that was not clean' "$work/sluiced.log")" = "$1" ]
}

make_tree "$work/tree"
random_bytes 67108864 machine-down >"$work/tree/huge"
write_config
start_registry

if [ "$(cat /out/boot)" = 1 ]; then
    publish --from-dir "$work/tree" "$registry/app:v1"
    sync
    start_daemon
    mount_image "$registry/app:v1" "$work/mnt"
    expect_text "$lock" '^in use$'
    say "the first boot, $(uname -r): reading"
    cat "$work/mnt/large" >"$work/large"
    cat "$work/mnt/huge" >"$work/huge" &
    wait_for 120 "data to come" filling
    say "the machine goes down with $(counter bytes_written) of $(json blobs '.blobs[0].erofs_size') bytes written"
    exec /run/guest/busybox reboot -f -n
fi

say "the second boot: the cache says that it was in use, and all of it is looked at"
expect_text "$lock" '^in use$'
start_daemon
wait_for 60 "the sweep to end" looked 1
mount_image "$registry/app:v1" "$work/mnt"
say "of what the first boot has stored, $(json blobs '.blobs[0].present') bytes are there"
same_tree "$work/tree" "$work/mnt"
expect_equal 0 "$(counter reads_failed)" "failed reads"
digest=$(blob_of "$registry/app:v1")
cookie=$(cookie_of "$digest")
size=$(json blobs '.blobs[0].erofs_size')
sluicectl umount "$work/mnt"
wait_for 60 "the layer to be released" no_layers
stop_daemon
only_proved "$(backing_file "$cookie")" "$(blob_file "$digest")" "$size"

say "after an orderly stop nothing is looked at, and nothing is fetched again"
expect_text "$lock" '^clean$'
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
drop_caches
same_tree "$work/tree" "$work/mnt"
expect_equal 0 "$(counter bytes_fetched)" "bytes fetched"
looked 1 || die "cached blobs were looked at after an orderly stop"
sluicectl umount "$work/mnt"
stop_daemon
