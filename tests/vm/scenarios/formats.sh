#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every form of image: chunked with a device blob, several layers under overlayfs with a whiteout, compressed (completed
# before the mount), and many directories of one image at once.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
make_tree "$work/tree"
write_config
start_daemon

# whole_and_once NAME TREE: all files of the mounted image NAME are those of TREE, however they are read, and the registry
# has served what was fetched for them, once. $before is what had been fetched before the image was mounted.
whole_and_once() {
    local fetched
    compare_cold "$2" "$work/mnt"
    same_tree "$2" "$work/mnt"
    wait_for 60 "readahead to end" idle
    fetched=$(($(counter bytes_fetched) - before))
    [ "$fetched" -gt 0 ] || die "nothing was fetched for $1"
    served_once "$1" "$fetched"
    expect_equal 0 "$(counter reads_failed)" "failed reads"
    sluicectl umount "$work/mnt"
    before=$(counter bytes_fetched)
}
before=0

# devices REF: how many device blobs the first layer of a registered image has.
devices() {
    json images ".images[] | select(.reference == \"$1\") | .layers[0].devices | length"
}

say "chunked, with its data in a device blob"
publish --chunksize 4096 --separate-data --from-dir "$work/tree" "$registry/chunked:v1"
mount_image "$registry/chunked:v1" "$work/mnt"
expect_equal 1 "$(devices "$registry/chunked:v1")" "device blobs"
whole_and_once chunked "$work/tree"

say "chunked, with its data in two device blobs"
mkfs.erofs --quiet --chunksize=4096 --blobdev="$work/data" "$work/meta" "$work/tree"
python3 "$(dirname "$0")/two_devices.py" "$work/meta" "$work/data" "$work/two-meta" "$work/first" "$work/second"
publish --from-erofs "$work/two-meta" --device "$work/first" --device "$work/second" "$registry/devices:v1"
mount_image "$registry/devices:v1" "$work/mnt"
expect_equal 2 "$(devices "$registry/devices:v1")" "device blobs"
whole_and_once devices "$work/tree"

say "three layers: the upper ones hide what is below"
two=/run/two # overlayfs, a guest's root, takes no whiteouts in its files
[ "$SLUICE_KERNEL" != native ] || two=$work/two
mkdir -p "$two/small" "$work/three"
echo changed >"$two/small/4097"
mknod "$two/run-me" c 0 0 # a whiteout
echo new >"$work/three/new"
publish --from-dir "$work/tree" --from-dir "$two" --from-dir "$work/three" "$registry/layers:v1"
cp -a "$work/tree" "$work/merged"
rm "$work/merged/run-me" "$work/merged/small/4097"
cp -p "$two/small/4097" "$work/merged/small/"
cp -p "$work/three/new" "$work/merged/"
mount_image "$registry/layers:v1" "$work/mnt"
[ ! -e "$work/mnt/run-me" ] || die "a whiteout does not hide the file below it"
must_fail touch "$work/mnt/cannot-be-written"
whole_and_once layers "$work/merged"

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
whole_and_once compressed "$work/tree"

say "one image at fifty directories at once, and its layer at none of them afterwards"
mounts=()
for i in $(seq 50); do
    mount_image "$registry/layers:v1" "$work/many/$i" &
    mounts+=($!)
done
wait_all "mounts at fifty directories" "${mounts[@]}"
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
