# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2034
# Helpers of the native scenarios; source it first. See run-native.
set -euo pipefail
. "${SLUICE_SOURCE_DIR:?is set by run-native}/tests/vm/scenarios/lib-sluice.sh"
native=$SLUICE_SOURCE_DIR/tests/native

# What run_userland's program needs.
imports='import collections, csv, decimal, email, hashlib, html, http.client, json, random, re, sqlite3, ssl, sys, tarfile, unittest'

# userland DIR: python and all that it needs to run in there after a chroot; in a guest, which is slow, no more than that.
userland() {
    local python lib library
    python=$(readlink -f /usr/bin/python3)
    lib=/usr/lib/$(basename "$python")
    mkdir -p "$1/bin" "$1$lib" "$1/tmp"
    cp "$python" "$1/bin/python3"
    if [ "$SLUICE_KERNEL" = native ]; then
        cp -r "$lib" "$1/usr/lib/"
        rm -rf "$1$lib"/{test,dist-packages,config-*}
    else
        "$python" -I -c "$imports"'
for module in list(sys.modules.values()):
    for path in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
        if path and path.startswith(sys.argv[1] + "/"):
            print(path)' "$lib" | sort -u | xargs cp --parents -t "$1"
    fi
    for library in $(ldd "$python" "$1$lib"/lib-dynload/*.so | grep -o '/[^ ]*\.so[^ ]*' | grep -v lib-dynload | sort -u); do
        mkdir -p "$1$(dirname "$library")"
        cp -L "$library" "$1$library"
    done
}

# run_userland DIR: a program from the image, with libraries and modules from the image.
run_userland() {
    chroot "$1" /bin/python3 -c "$imports"'
print(json.dumps({"sum": hashlib.sha256(b"sluice").hexdigest()}))'
}

# our_loops: loop devices over blobs of a daemon of this scenario: no namespace separates them from other people's. A blob's
# file keeps its device number when its file system is detached, its path it does not. Only devices over what is called like a blob are
# opened: an open one of somebody else's could not be detached by its owner.
our_loops() {
    local backing name
    for backing in /sys/block/loop*/loop/backing_file; do
        grep -qsE '/[0-9a-f]{64}( |$)' "$backing" || continue
        name=${backing#/sys/block/}
        losetup --list --noheadings --output BACK-MAJ:MIN,NAME,BACK-FILE "/dev/${name%%/*}" 2>/dev/null | grep -Fwf "$work/blob-devices" || true
    done
}

no_loops() {
    [ -z "$(our_loops)" ]
}

# nothing_left: no mount below the work folder, no loop device, no FUSE file system of ours.
nothing_left() {
    not_mounted_below "$work" || die "still mounted: $(grep -F " $work/" /proc/self/mountinfo)"
    ! grep -q ' - fuse.sluice ' /proc/self/mountinfo || die "a FUSE file system is still mounted"
    wait_for 20 "loop devices to go" no_loops
}

kill_daemon() {
    kill -9 "$daemon_pid"
    wait "$daemon_pid" 2>/dev/null || true
}

# mounts_files: whether this kernel's EROFS can be mounted on a plain file, without a loop device (from Linux 6.12, if built so).
mounts_files() {
    local probe=$cache/mounts-files
    if [ ! -e "$probe" ]; then
        mkdir -p "$work/probe/empty" "$work/probe/mnt"
        mkfs.erofs --quiet "$cache/probe.erofs" "$work/probe/empty"
        python3 - "$cache/probe.erofs" "$work/probe/mnt" >"$probe" <<'PYTHON'
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
done = libc.mount(sys.argv[1].encode(), sys.argv[2].encode(), b"erofs", 1, None) == 0
if not done and ctypes.get_errno() != errno.ENOTBLK:
    sys.exit(f"EROFS cannot be mounted: {os.strerror(ctypes.get_errno())}")
print("yes" if done else "no")
PYTHON
        [ "$(cat "$probe")" = no ] || umount "$work/probe/mnt"
    fi
    [ "$(cat "$probe")" = yes ]
}

# layers_are files|loops: what every mounted layer of ours stands on.
layers_are() {
    local expected="$work/blobs/"
    [ "$1" = files ] || expected=/dev/loop
    findmnt -rno SOURCE,TARGET -t erofs | awk -v dir="$work/layers/" 'index($2, dir) == 1 { print $1 }' >"$work/sources"
    [ -s "$work/sources" ] || die "no layer is mounted"
    ! grep -v "^$expected" "$work/sources" || die "a layer does not lie on $1"
}

# use_mount_helper: mount(8) finds this build's mount.sluice, in our mount namespace alone, until the scenario has ended.
use_mount_helper() {
    mkdir -p "$work/helpers"
    ln -sf "$build/tools/mount.sluice" "$work/helpers/"
    mount -t overlay -o "lowerdir=$work/helpers:/usr/sbin" helpers /usr/sbin
}
