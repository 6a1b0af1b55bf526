#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A registry that is gone, answers with errors, or is slow: readers get EIO or wait within the deadline, nobody hangs, and
# reads work again once the fault is gone.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
mkdir "$work/tree"
random_bytes 8388608 faults >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"
# It takes longer to give up a connection than a read: so a silence always ends at the deadline.
write_config 'read-ahead 0' 'read-deadline 4s' 'connect-timeout 60s'
start_daemon
mount_image "$registry/app:v1" "$work/mnt"

piece() {
    dd if="$1/file" bs=4096 skip="$2" count=1 status=none
}

same_piece() {
    cmp -s <(piece "$work/mnt" "$1") <(piece "$work/tree" "$1")
}

# must_be_eio BLOCK COUNTER...: it is EIO, and counted as a failed read, as no false proof, and under the names given.
must_be_eio() {
    local block=$1 name before=()
    shift
    set -- reads_failed "$@"
    for name; do
        before+=("$(counter "$name")")
    done
    must_fail piece "$work/mnt" "$block"
    expect_text "$work/last-error" 'Input/output error'
    for name; do
        [ "$(counter "$name")" -gt "${before[0]}" ] || die "$name was not counted: ${before[0]} as before"
        before=("${before[@]:1}")
    done
    expect_equal 0 "$(counter verify_failures)" "failed proofs"
}

# silence, speak: nothing comes from the registry any more, though it is there, and comes again. This machine's own kernel
# may lack netem; there the registry is stopped instead.
netem=yes
tc qdisc add dev lo root netem delay 0ms 2>"$work/tc" && tc qdisc del dev lo root || netem=
[ -n "$netem" ] || [ "$SLUICE_KERNEL" = native ] || die "the guest's kernel has no netem: $(cat "$work/tc")"

silence() {
    if [ -n "$netem" ]; then tc qdisc add dev lo root netem loss 100%; else kill -STOP "$registry_pid"; fi
}

speak() {
    if [ -n "$netem" ]; then tc qdisc del dev lo root; else kill -CONT "$registry_pid"; fi
}

say "a hang-up signal is ignored"
kill -HUP "$daemon_pid"
same_piece 400 || die "the daemon does not serve after a SIGHUP"
daemon_answers >"$work/status"

say "gone: connection refused"
stop_registry
must_be_eio 600 fetch_failures
start_registry
wait_for 20 "reads to work again" same_piece 600

say "errors: the registry has lost its storage"
mv "$registry_root/docker" "$registry_root/away"
must_be_eio 800 fetch_failures
mv "$registry_root/away" "$registry_root/docker"
wait_for 20 "reads to work again" same_piece 800

say "silent: no packet comes through; the deadline answers"
! grep -Eq '(before|within) the deadline' "$work/sluiced.log" || die "a read missed its deadline although the registry answered"
silence
must_be_eio 1000
speak
expect_text "$work/sluiced.log" 'bytes [0-9-]+: .*(before|within) the deadline'
wait_for 60 "reads to work again" same_piece 1000

if [ -n "$netem" ]; then
    say "slow: a late answer is an answer"
    tc qdisc add dev lo root netem delay 300ms
    wait_for 60 "reads to work on a slow network" same_piece 1200
    tc qdisc del dev lo root
fi

say "a reader that is killed leaves nothing behind"
silence
piece "$work/mnt" 1400 >/dev/null 2>&1 &
victim=$!
wait_for 20 "the read to be pending" pending_reads
kill -9 $victim
wait_for 20 "the reader to be gone" gone $victim
speak
wait_for 60 "reads to work again" same_piece 1400
# A connection that was silent, too, may have to end first; what is read is right.
all_right() {
    local status=0
    cmp "$work/mnt/file" "$work/tree/file" || status=$?
    [ $status -ne 1 ] || die "wrong bytes"
    return $status
}
wait_for 60 "all of it to be readable" all_right

say "kill -9 of the daemon: readers are told, nobody hangs; after umount and restart all is well"
sluicectl umount "$work/mnt"
stop_daemon
rm -rf "${cache:?}"/cache/*
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
