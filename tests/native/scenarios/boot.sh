#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A machine boots while its registry is unreachable: what stands in fstab is mounted from the database alone, each image is
# restored when it is first used, what was read before reads as before, and the rest is an error until the registry is back.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

images=6
start_registry
write_config 'read-deadline 5' 'read-ahead 0'
for number in $(seq $images); do
    mkdir -p "$work/tree-$number"
    random_bytes 4194304 "boot-$number" >"$work/tree-$number/file"
    publish --from-dir "$work/tree-$number" "$registry/app-$number:v1"
    mkdir "$work/fstab-$number"
    printf '%s %s sluice socket=%s 0 0\n' "$registry/app-$number:v1" "$work/fstab-$number" "$work/control.sock" >>"$work/fstab"
done
use_mount_helper

mount_all() {
    mount -a -T "$work/fstab" -t sluice
    expect_equal $images "$(grep -cF " $work/fstab-" /proc/self/mountinfo)" "mounts"
}

# piece FOLDER BLOCK
piece() {
    dd if="$work/$1/file" bs=4096 skip="$2" count=1 status=none
}

# same_piece NUMBER BLOCK
same_piece() {
    cmp -s <(piece "fstab-$1" "$2") <(piece "tree-$1" "$2")
}

# go_down: all that a reboot takes away. The cache's disk stays.
go_down() {
    kill_daemon
    for number in $(seq $images); do
        umount "$work/fstab-$number"
    done
    sluicectl release-layers --layers-dir "$work/layers"
    ! mountpoint -q "$work/blobs"/* || umount -l "$work/blobs"/* # over FUSE
    not_mounted_below "$work" || die "still mounted: $(grep -F " $work/" /proc/self/mountinfo)"
    echo 3 >/proc/sys/vm/drop_caches
}

open_blobs() {
    json status .blobs.open
}

say "the first boot: everything in fstab is mounted, of half of it something is read"
start_daemon
mount_all
for number in $(seq $((images / 2))); do
    same_piece "$number" 100 || die "wrong bytes of $number"
done
go_down

say "the next one, without the registry: no image is opened before somebody uses it"
stop_registry
start_daemon
expect_equal $images "$(json images '.images | length')" "images known"
expect_equal 0 "$(open_blobs)" "blobs open after the start"
mount -T "$work/fstab" "$work/fstab-1"
expect_equal 1 "$(open_blobs)" "blobs open after the first mount"

say "all are mounted, what was read reads as before, the rest is an error"
mount_all
for number in $(seq $((images / 2))); do
    same_piece "$number" 100 || die "wrong bytes of $number"
    must_fail timeout 60 dd if="$work/fstab-$number/file" of="$work/piece" bs=4096 skip=700 count=1 status=none
    expect_text "$work/last-error" 'error reading'
done
expect_equal 0 "$(counter bytes_fetched)" "bytes fetched without a registry"

say "the registry is back: everything reads, and nothing is mounted anew for it"
start_registry
before=$(grep -F " $work/fstab-" /proc/self/mountinfo)
for number in $(seq $images); do
    cmp "$work/tree-$number/file" "$work/fstab-$number/file"
done
expect_equal "$before" "$(grep -F " $work/fstab-" /proc/self/mountinfo)" "what is mounted"
for number in $(seq $images); do
    umount "$work/fstab-$number"
done
wait_for 60 "the layers to be released" no_layers
stop_daemon
umount /usr/sbin
nothing_left
