#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --cpus 2
# The main job: a signed image on a real registry over TLS, mounted on demand, read right, with little of it downloaded;
# a second mount and a restart that fetch nothing again.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
make_tree "$work/tree"
publish --from-dir "$work/tree" "$registry/app:v1"
write_config
start_daemon

say "mount: only metadata is fetched"
mount_image "$registry/app:v1" "$work/mnt"
size=$(json blobs '.blobs[0].erofs_size')
at_mount=$(counter bytes_fetched)
[ "$at_mount" -lt $((size / 4)) ] || die "$at_mount of $size bytes were fetched at the mount already"

say "one small file: only its surroundings are fetched"
expect_equal "$(sha256sum <"$work/tree/small/4097")" "$(sha256sum <"$work/mnt/small/4097")" small/4097
after_one=$(counter bytes_fetched)
[ "$after_one" -lt $((at_mount + 1200000)) ] || die "$((after_one - at_mount)) bytes were fetched for a file of 4097"

say "everything, by eight readers in random order, with caches dropped in between"
compare_cold "$work/tree" "$work/mnt"
same_tree "$work/tree" "$work/mnt"
expect_equal "$size" "$(json blobs '.blobs[0].present')" "bytes present"
expect_equal 0 "$(counter reads_failed)" "failed reads"

say "the registry served each byte once: its own log agrees"
expect_equal "$size" "$(counter bytes_fetched)" "bytes fetched"
served_once app "$size"

say "reads without the caches of the kernel need no network: the registry is gone"
stop_registry
drop_caches
diff <(sums "$work/tree") <(sums "$work/mnt") || die "files differ"

say "the second mount needs no network either"
mount_image "$registry/app:v1" "$work/mnt2"
same_tree "$work/tree" "$work/mnt2"
sluicectl umount "$work/mnt"
same_tree "$work/tree" "$work/mnt2"
umount "$work/mnt2" # a plain umount is enough: the daemon sees it
wait_for 60 "the layer to be released" no_layers
expect_equal "$size" "$(counter bytes_fetched)" "bytes fetched"

say "nor does a mount after a restart of the daemon"
stop_daemon
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
same_tree "$work/tree" "$work/mnt"
expect_equal 0 "$(counter bytes_fetched)" "bytes fetched after the restart"
sluicectl umount "$work/mnt"
stop_daemon
