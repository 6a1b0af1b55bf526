#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A package upgrade brings a sluiced whose notes about the FUSE connection have another layout: it ends what its predecessor has
# mounted, says so, and mount -a makes it anew. A downgrade is the same. Two real builds, under one `sluiced --keeper`.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

this=$build/daemon/sluiced
other=$build/tests/native/sluiced-other-layout
mnt=$work/mnt

# The daemon is installed in a place where it can be replaced.
mkdir -p "$work/build/daemon" "$work/tree" "$mnt"
ln -s "$build/tools" "$work/build/tools"
build=$work/build
install_daemon() {
    cp "$1" "$work/sluiced.new"
    mv "$work/sluiced.new" "$build/daemon/sluiced"
}

# succeed BUILD NUMBER: BUILD is installed, the daemon dies, and its successor, the NUMBERth, is there.
taken_over() {
    [ "$(json status .takeovers)" = "$1" ]
}
succeed() {
    install_daemon "$1"
    kill -KILL "$(pgrep -P "$daemon_pid")"
    wait_for 60 "successor $2" taken_over "$2"
    echo 3 >/proc/sys/vm/drop_caches
}

mount_all() {
    mount -a -T "$work/fstab" -t sluice
}

# is_dead: what is mounted is an error for its readers, at once.
is_dead() {
    must_fail timeout 60 cat "$mnt/file"
    expect_text "$work/last-error" 'Input/output error|Transport endpoint is not connected'
}

mounted_anew() {
    mount_all
    cmp "$work/tree/file" "$mnt/file"
    expect_equal 1 "$(grep -c ' - fuse.sluice ' /proc/self/mountinfo)" "FUSE file systems"
    expect_equal 1 "$(grep -cF " $mnt " /proc/self/mountinfo)" "mounts at $mnt"
}

start_registry
random_bytes 4000000 upgrade >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"
printf '%s %s sluice socket=%s 0 0\n' "$registry/app:v1" "$mnt" "$work/control.sock" >"$work/fstab"
write_config 'read-ahead 0'
use_mount_helper
install_daemon "$this"
start_daemon --keeper
mount_all
head -c 1000000 "$mnt/file" | cmp -n 1000000 - "$work/tree/file"

say "a successor of the same layout: nobody notices"
succeed "$this" 1
cmp "$work/tree/file" "$mnt/file"
! grep -F 'what was mounted is dead' "$work/sluiced.log" || die "a layout that is known was not taken over"

say "an upgrade to another layout: the mounts end, the log says so, mount -a makes them anew"
succeed "$other" 2
expect_text "$work/sluiced.log" 'what was mounted is dead.*mount -a -t sluice.*has version 1, and this sluiced knows version 1000001'
is_dead
mounted_anew

say "the way back"
succeed "$this" 3
expect_text "$work/sluiced.log" 'what was mounted is dead.*has version 1000001, and this sluiced knows version 1$'
is_dead
mounted_anew

umount "$mnt"
wait_for 60 "the layers to be released" no_layers
stop_daemon
umount /usr/sbin
nothing_left
