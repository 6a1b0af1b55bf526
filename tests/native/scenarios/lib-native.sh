# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2034
# Helpers of the native scenarios; source it first. See run-native.
set -euo pipefail
. "${SLUICE_SOURCE_DIR:?is set by run-native}/tests/vm/scenarios/lib-sluice.sh"
native=$SLUICE_SOURCE_DIR/tests/native

# userland DIR: python and all that it needs to run in there after a chroot.
userland() {
    local python library
    python=$(readlink -f /usr/bin/python3)
    mkdir -p "$1/bin" "$1/usr/lib" "$1/tmp"
    cp "$python" "$1/bin/python3"
    cp -r "/usr/lib/$(basename "$python")" "$1/usr/lib/"
    rm -rf "$1/usr/lib/$(basename "$python")"/{test,dist-packages,config-*}
    for library in $(ldd "$python" "/usr/lib/$(basename "$python")"/lib-dynload/*.so | grep -o '/[^ ]*\.so[^ ]*' |
        grep -v lib-dynload | sort -u); do
        mkdir -p "$1$(dirname "$library")"
        cp -L "$library" "$1$library"
    done
}

# run_userland DIR: a program from the image, with libraries and modules from the image.
run_userland() {
    chroot "$1" /bin/python3 -c '
import collections, csv, decimal, email, hashlib, html, http.client, json, random, re, sqlite3, ssl, tarfile, unittest
print(json.dumps({"sum": hashlib.sha256(b"sluice").hexdigest()}))'
}

# our_loops: loop devices that a sluicectl of ours has set up, by the name of the file.
our_loops() {
    losetup --list --noheadings --output NAME,BACK-FILE 2>/dev/null | grep -E "/?[0-9a-f]{64}( |$)|$work" || true
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
