#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --memory 2560
# Cold reads through a real mount, beside a plain local copy into the same file system and a bare download with curl, in
# one run. Tables to read, not a verdict: of an emulated machine only the ratios count.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
write_config
start_daemon
# name, MiB of the file
while read -r name size; do
    mkdir -p "$work/trees/$name"
    head -c $((size << 20)) /dev/urandom >"$work/trees/$name/file"
    publish --from-dir "$work/trees/$name" "$registry/$name:v1"
    mount_image "$registry/$name:v1" "$work/mnt/$name"
    printf 'https://%s/v2/%s/blobs/%s\n' "$registry" "$name" "$(blob_of "$registry/$name:v1")" >"$work/trees/$name.url"
done <<'IMAGES'
sequential 48
random-64k 32
random-4k 32
IMAGES
drop_caches
python3 "$(dirname "$0")/bench.py" "$work" "$cache/copy" "$keys/ca.pem"
expect_equal 0 "$(counter reads_failed)" "failed reads"
for name in sequential random-64k random-4k; do
    sluicectl umount "$work/mnt/$name"
done
stop_daemon
