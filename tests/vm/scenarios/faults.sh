#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A registry that is gone, answers with errors, or is slow: readers get EIO or wait within the deadline, nobody hangs, and
# reads work again once the fault is gone.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
mkdir "$work/tree"
random_bytes 8388608 faults >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"
write_config 'read-ahead 0' 'read-deadline 4s' 'connect-timeout 2s'
start_daemon
mount_image "$registry/app:v1" "$work/mnt"

piece() {
    dd if="$1/file" bs=4096 skip="$2" count=1 status=none
}

same_piece() {
    cmp -s <(piece "$work/mnt" "$1") <(piece "$work/tree" "$1")
}

say "a hang-up signal is ignored"
kill -HUP "$daemon_pid"
same_piece 400 || die "the daemon does not serve after a SIGHUP"
daemon_answers >"$work/status"

say "gone: connection refused"
stop_registry
must_fail piece "$work/mnt" 600
expect_text "$work/last-error" 'Input/output error'
start_registry
wait_for 20 "reads to work again" same_piece 600

say "errors: the registry has lost its storage"
mv "$registry_root/docker" "$registry_root/away"
must_fail piece "$work/mnt" 800
expect_text "$work/last-error" 'Input/output error'
mv "$registry_root/away" "$registry_root/docker"
wait_for 20 "reads to work again" same_piece 800

say "silent: no packet comes through; the deadline answers"
tc qdisc add dev lo root netem loss 100%
must_fail piece "$work/mnt" 1000
tc qdisc del dev lo root
expect_text "$work/last-error" 'Input/output error'
[ "$(counter deadline_misses)" -ge 1 ] || [ "$(counter fetch_failures)" -ge 3 ] || die "no failure was counted"
wait_for 60 "reads to work again" same_piece 1000

say "slow: a late answer is an answer"
tc qdisc add dev lo root netem delay 300ms
wait_for 60 "reads to work on a slow network" same_piece 1200
tc qdisc del dev lo root

say "a reader that is killed leaves nothing behind"
tc qdisc add dev lo root netem loss 100%
piece "$work/mnt" 1400 >/dev/null 2>&1 &
victim=$!
wait_for 20 "the read to be pending" pending_reads
kill -9 $victim
wait_for 20 "the reader to be gone" gone $victim
tc qdisc del dev lo root
wait_for 60 "reads to work again" same_piece 1400
cmp "$work/mnt/file" "$work/tree/file"

say "kill -9 of the daemon: readers are told, nobody hangs; after umount and restart all is well"
sluicectl umount "$work/mnt"
stop_daemon
rm -rf /cache/cache/*
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
kill -9 "$daemon_pid"
wait "$daemon_pid" || true
must_fail piece "$work/mnt" 600
umount "$work/mnt"
# The dead daemon's last release-layers lives on without it, may have waited for the mount to end, and then be the first here.
umount -A "$work"/layers/* || no_layers || die "a dead layer cannot be unmounted"
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
cmp "$work/mnt/file" "$work/tree/file"
sluicectl umount "$work/mnt"
stop_daemon
