#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every form of image: chunked with a device blob, several layers under overlayfs with a whiteout, compressed (completed
# before the mount), and many directories of one image at once.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
make_tree "$work/tree"
write_config
start_daemon

say "chunked, with its data in a device blob"
publish --chunksize 4096 --separate-data --from-dir "$work/tree" "$registry/chunked:v1"
mount_image "$registry/chunked:v1" "$work/mnt"
same_tree "$work/tree" "$work/mnt"
expect_equal 1 "$(json images '.images[0].layers[0].devices | length')" "device blobs"
sluicectl umount "$work/mnt"

say "three layers: the upper ones hide what is below"
two=/run/two # overlayfs, a guest's root, takes no whiteouts in its files
[ "${SLUICE_FRONT_END:-}" != fuse ] || two=$work/two
mkdir -p "$two/small" "$work/three"
echo changed >"$two/small/4097"
mknod "$two/run-me" c 0 0 # a whiteout
echo new >"$work/three/new"
publish --from-dir "$work/tree" --from-dir "$two" --from-dir "$work/three" "$registry/layers:v1"
mount_image "$registry/layers:v1" "$work/mnt"
expect_equal changed "$(cat "$work/mnt/small/4097")" small/4097
expect_equal new "$(cat "$work/mnt/new")" new
[ ! -e "$work/mnt/run-me" ] || die "a whiteout does not hide the file below it"
cmp "$work/mnt/large" "$work/tree/large"
must_fail touch "$work/mnt/cannot-be-written"
sluicectl umount "$work/mnt"

publish --compress lz4hc --from-dir "$work/tree" "$registry/compressed:v1"
if [ "$(json status .front_end.name)" = cachefiles ]; then
    say "compressed: complete before it is mounted, and refused where only lazy mounts are wanted"
    complete=true
    must_fail mount_image "$registry/compressed:v1" "$work/mnt" --lazy-only
    expect_text "$work/last-error" 'compressed'
    not_mounted "$work/mnt"
    mount_image "$registry/compressed:v1" "$work/mnt"
else
    say "compressed: on demand, as any other"
    complete=false
    mount_image "$registry/compressed:v1" "$work/mnt" --lazy-only
fi
digest=$(blob_of "$registry/compressed:v1")
expect_equal $complete "$(json blobs ".blobs[] | select(.digest == \"$digest\") | .complete")" "the blob is complete"
read_all_parallel "$work/mnt" >"$work/sums"
diff <(sums "$work/tree") "$work/sums" || die "files differ"
sluicectl umount "$work/mnt"

say "one image at fifty directories at once, and its layer at none of them afterwards"
for i in $(seq 50); do
    mount_image "$registry/layers:v1" "$work/many/$i" &
done
wait_all
for i in 1 17 50; do
    expect_equal changed "$(cat "$work/many/$i/small/4097")" "directory $i"
done
expect_equal 3 "$(grep -cF " $work/layers/" /proc/self/mountinfo)" "EROFS mounts"
for i in $(seq 50); do
    umount "$work/many/$i"
done
wait_for 60 "the layers to be released" no_layers
expect_equal 0 "$(counter reads_failed)" "failed reads"
stop_daemon
