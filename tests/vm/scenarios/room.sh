#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A cache with a quota that holds two of eight images: seven are mounted, read and unmounted in turn, twice, while the first one stays
# mounted under readers. No read fails, no byte is wrong, what is mounted is never fetched again.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-sluice.sh"

size=4194304
images=8
[ "$SLUICE_KERNEL" = native ] || images=4 # guests are slow
start_registry
for ((n = 1; n <= images; n++)); do
    mkdir "$work/tree$n"
    random_bytes $size "room-$n" >"$work/tree$n/file"
    publish --from-dir "$work/tree$n" "$registry/app$n:v1"
done
write_config 'quota 10M' 'read-ahead 0'
start_daemon

# kept: what all of the cache takes of the disk.
kept() {
    du -sB1 "$cache" | cut -f1
}

only_the_first_is_open() {
    [ "$(json status .blobs.open)" = 1 ]
}

below_quota() {
    [ "$(kept)" -le 10485760 ]
}

read_over_and_over() {
    until [ -e "$work/enough" ]; do
        cmp "$work/tree1/file" "$work/mnt1/file" || return 1
        drop_caches
    done
}

say "the first image stays, under two readers"
mount_image "$registry/app1:v1" "$work/mnt1"
same_tree "$work/tree1" "$work/mnt1"
first=$(backing_file "$(cookie_of "$(blob_of "$registry/app1:v1")")")
inode=$(stat -c %i "$first")
read_over_and_over &
readers=($!)
read_over_and_over &
readers+=($!)

for turn in 1 2; do
    for ((n = 2; n <= images; n++)); do
        say "turn $turn: image $n"
        mount_image "$registry/app$n:v1" "$work/mnt$n"
        drop_caches
        same_tree "$work/tree$n" "$work/mnt$n"
        sluicectl umount "$work/mnt$n"
        wait_for 60 "image $n to be released" only_the_first_is_open
        wait_for 60 "the cache to be within its quota" below_quota
    done
done
touch "$work/enough"
for reader in "${readers[@]}"; do
    wait "$reader" || die "a reader of the first image has met an error or a wrong byte"
done

say "$(counter blobs_culled) blobs, $(counter bytes_culled) bytes were removed; $(kept) bytes are kept"
expect_equal 0 "$(counter reads_failed)" "failed reads"
[ "$(counter blobs_culled)" -ge "$images" ] || die "hardly anything was removed"
expect_equal "$inode" "$(stat -c %i "$first")" "inode of the file that is in use"
[ "$(served_bytes app1)" -le $((size + size / 4)) ] || die "what was in use was fetched again"
expect_text "$work/sluiced.log" 'removed [0-9]+ blobs, .*: it had passed its quota'
sluicectl umount "$work/mnt1"
stop_daemon
