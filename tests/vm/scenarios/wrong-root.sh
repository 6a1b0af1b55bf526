#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A signature is valid, its key is trusted, and yet the signed root is not that of the bytes: nothing of them is visible.
. "$(dirname "$0")/lib-sluice.sh"

# resign FROM TO [OPTION...]: see resign.py; prints the layer's digest.
resign() {
    python3 "$(dirname "$0")/resign.py" "$registry" app "$1" "$2" "$keys/image.key" "${@:3}"
}

backing_files() {
    find "${cache:?}" -type f -name 'D*'
}

block() {
    dd if="$1/file" bs=4096 skip="$2" count=1 status=none
}

start_registry
mkdir "$work/tree"
random_bytes 2097152 wrong-root >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:good"
# With this read-ahead the daemon only ever asks for what a reader wants.
write_config 'read-ahead 0' 'read-deadline 5s'
start_daemon

say "a root that belongs to nothing: the mount is refused and says why"
root=sha256:$(printf 'another tree' | sha256sum | cut -d ' ' -f 1)
digest=$(resign good wrong --root "$root")
must_fail mount_image "$registry/app:wrong" "$work/mnt"
expect_text "$work/last-error" 'hash (tree|block)|does not match'
not_mounted "$work/mnt" || die "a failed mount left a mount behind"
expect_equal '' "$(backing_files)" "backing files"
expect_equal 0 "$(json images '.images | length')" "images that are served"
daemon_answers >"$work/status"

say "the honest manifest of the same blob is not hindered by it"
mount_image "$registry/app:good" "$work/mnt"
cmp "$work/mnt/file" "$work/tree/file"
good=$(blob_file "$digest")
erofs_size=$(json blobs '.blobs[0].erofs_size')

say "with the right one known, the wrong root for the same blob proves nothing, and what is served goes on"
before=$(counter bytes_fetched)
must_fail mount_image "$registry/app:wrong" "$work/mnt2"
expect_text "$work/last-error" 'hash (tree|block)|does not match'
not_mounted "$work/mnt2"
expect_equal "$before" "$(counter bytes_fetched)" "bytes fetched"
cmp "$work/mnt/file" "$work/tree/file"
sluicectl umount "$work/mnt"

say "a root that is right for the metadata and for none of the file's blocks: it mounts, and every read is EIO"
cp "$good" "$work/false"
start=$(find_content "$good" 4096 "$(block "$work/tree" 0 | sha256sum | cut -d ' ' -f 1)")
python3 - "$work/false" "$start" 2097152 <<'PY'
import sys
with open(sys.argv[1], "r+b") as blob:
    for at in range(int(sys.argv[2]), int(sys.argv[2]) + int(sys.argv[3]), 4096):
        blob.seek(at)
        byte = blob.read(1)[0]
        blob.seek(at)
        blob.write(bytes([byte ^ 1]))
PY
false_digest=$(resign good false --blob "$work/false")
mount_image "$registry/app:false" "$work/mnt"
expect_equal 2097152 "$(stat -c %s "$work/mnt/file")" "the size, which is proved"
for skip in 0 1 100 255 256 511; do
    must_fail block "$work/mnt" $skip
    expect_text "$work/last-error" 'Input/output error'
done
must_fail cat "$work/mnt/file"
[ "$(counter verify_failures)" -ge 6 ] || die "$(counter verify_failures) failed proofs were counted"
daemon_answers >"$work/status"

say "the backing file holds the proved metadata, and of the file no block at all"
cookie=$(cookie_of "$false_digest")
sluicectl umount "$work/mnt"
wait_for 60 "the layer to be released" no_layers
stop_daemon
backing=$(backing_file "$cookie")
only_proved "$backing" "$good" "$erofs_size"
python3 - "$backing" "$start" 2097152 <<'PY'
import errno, os, sys
backing, start, size = os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2]), int(sys.argv[3])
try:
    data = os.lseek(backing, start, os.SEEK_DATA)
except OSError as error:
    data = start + size if error.errno == errno.ENXIO else 0
if data < start + size:
    sys.exit(f"the backing file has bytes at {data}, inside the file that does not match the root")
PY

say "after a restart the honest image reads right"
start_daemon
mount_image "$registry/app:good" "$work/mnt"
cmp "$work/mnt/file" "$work/tree/file"
sluicectl umount "$work/mnt"
stop_daemon
