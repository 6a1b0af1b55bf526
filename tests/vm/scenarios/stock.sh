#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian's own kernels have no on-demand mode: the daemon says so, takes the FUSE front end, and leaves nothing behind.
. "$(dirname "$0")/lib-sluice.sh"
guest_only

case $(uname -r) in
*-ondemand) die "this is one of our own kernels" ;;
6.1.*) below='^/dev/loop' ;;           # EROFS on plain files came with 6.12
*) below="^$work/blobs/" ;;
esac
[ ! -e /dev/cachefiles ] || die "Debian has cachefiles as a device now: the scenarios want another look"

say "check-system names what is missing"
write_config
"$build/daemon/sluiced" -f "$work/sluiced.conf" --check-system >"$work/report" 2>&1 || true
cat "$work/report"
expect_text "$work/report" '/dev/cachefiles cannot be opened.*CONFIG_CACHEFILES_ONDEMAND'

say "auto takes fuse, and says why"
start_registry
make_tree "$work/tree"
publish --chunksize 4096 --separate-data --from-dir "$work/tree" "$registry/chunked:v1"
publish --compress lz4hc --from-dir "$work/tree" "$registry/compressed:v1"
start_daemon
expect_equal fuse "$(json status '.front_end.name')" "the front end"
json status .front_end.why

say "layers lie on what this kernel can mount: $below"
for image in chunked compressed; do
    mount_image "$registry/$image:v1" "$work/mnt/$image"
done
findmnt -rno SOURCE -t erofs >"$work/sources"
cat "$work/sources"
expect_text "$work/sources" "$below"
! grep -Ev "$below" "$work/sources" || die "a layer lies on something else"
for image in chunked compressed; do
    same_tree "$work/tree" "$work/mnt/$image"
    sluicectl umount "$work/mnt/$image"
done
wait_for 60 "the layers to be released" no_layers
expect_equal 0 "$(counter reads_failed)" "failed reads"

say "no loop device and no FUSE mount stays"
no_loops() {
    ! grep -q . /sys/block/loop*/loop/backing_file
}
wait_for 30 "the loop devices to go" no_loops
stop_daemon
! grep -qF " $work/blobs" /proc/self/mountinfo || die "the FUSE file system is still mounted"

say "cachefiles alone is refused, with the reason"
sed -i 's/^front-end .*/front-end cachefiles/' "$work/sluiced.conf"
must_fail timeout 20 "$build/daemon/sluiced" -n -f "$work/sluiced.conf"
expect_text "$work/last-error" '/dev/cachefiles'
