#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Twenty thousand files, in all the ways that programs read them, by eight readers at once, while the kernel's caches are
# thrown away under them; a program run from the image; an overlay on top. First on files where the kernel can, then on
# loop devices. Two hundred files in a guest, which is slow.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

count=20000 large=24
[ "$SLUICE_KERNEL" = native ] || count=200 large=4
start_registry
mkdir -p "$work/tree"
"$native/make_many.py" "$work/tree" $count $large
userland "$work/tree"
publish --from-dir "$work/tree" "$registry/many:v1"
write_config
start_daemon

# read_all: everything is right, with readers and a memory shortage at the same time.
read_all() {
    "$native/read_all.py" "$work/tree" "$work/mnt" 8 4096 || die "wrong bytes"
}

below=loops
! mounts_files || below=files
say "on $below: nothing but metadata at the mount"
mount_image "$registry/many:v1" "$work/mnt"
layers_are $below
size=$(json blobs '.blobs[0].erofs_size')
[ "$(counter bytes_fetched)" -lt $((size / 4)) ] || die "too much was fetched by the mount"

say "a program from the image, cold"
run_userland "$work/mnt" >"$work/said"
expect_text "$work/said" '^."sum": "[0-9a-f]{64}"'

say "all files, cold"
read_all
expect_equal 0 "$(counter reads_failed)" "failed reads"
expect_equal "$size" "$(json blobs '.blobs[0].present')" "bytes present"
expect_equal "$size" "$(counter bytes_fetched)" "bytes fetched"

say "an overlay on top: copying up, and a program through it"
upper=$cache/upper # overlayfs, a guest's root, cannot be the upper layer of another one
mkdir -p "$upper/files" "$upper/work" "$work/merged"
mount -t overlay overlay -o "lowerdir=$work/mnt,upperdir=$upper/files,workdir=$upper/work" "$work/merged"
printf more >>"$work/merged/large"
expect_equal "$(stat -c %s "$work/tree/large")" "$(($(stat -c %s "$work/merged/large") - 4))" "size of the copied file"
cmp -n "$(stat -c %s "$work/tree/large")" "$work/tree/large" "$work/merged/large"
run_userland "$work/merged" >"$work/said"
umount "$work/merged"

say "the blobs are not for others, and cannot be written"
blob=$(find "$work"/blobs/*/ -type f | head -n 1)
[ -n "$blob" ] || die "the blobs are not listed"
must_fail dd if=/dev/zero of="$blob" bs=4096 count=1 conv=notrunc
must_fail setpriv --reuid 65534 --clear-groups cat "$blob"
must_fail touch "$(dirname "$blob")/new"
sluicectl umount "$work/mnt"
wait_for 60 "the layer to be released" no_layers

wait_for 20 "loop devices to go" no_loops

if [ $below = files ]; then
    say "on loop devices"
    mount_image "$registry/many:v1" "$work/mnt" -o loop-devices
    layers_are loops
    read_all
    run_userland "$work/mnt" >"$work/said"
    sluicectl umount "$work/mnt"
    wait_for 60 "the layer to be released" no_layers
    wait_for 20 "the loop device to go" no_loops
fi

expect_equal "$size" "$(counter bytes_fetched)" "bytes fetched"
stop_daemon
nothing_left
