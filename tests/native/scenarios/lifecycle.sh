#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Daemon and mounts come and go in every order: killed under readers, stopped before the umount, started again, on files
# and on loop devices. Readers of a dead mount get EIO, a new mount works, what was downloaded is kept, nothing is left.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

start_registry
mkdir "$work/tree"
random_bytes 33554432 lifecycle >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"
publish --chunksize 4096 --separate-data --from-dir "$work/tree" "$registry/devices:v1"
write_config 'read-ahead 0'

piece() {
    dd if="$1/file" bs=4096 skip="$2" count=1 status=none
}

same_piece() {
    cmp -s <(piece "$work/$1" "$2") <(piece "$work/tree" "$2")
}

# must_be_dead DIR BLOCK: data is EIO then; where metadata has to be read first, EROFS hands on what FUSE says of a dead
# connection.
must_be_dead() {
    must_fail piece "$work/$1" "$2"
    expect_text "$work/last-error" 'Input/output error|Transport endpoint is not connected'
}

# read_until_error DIR: reads over and over; ends with the first error.
read_until_error() {
    while cat "$work/$1/file" >/dev/null; do
        echo 1 >/proc/sys/vm/drop_caches
    done
}

reads_begun() {
    [ "$(counter reads)" -gt 8 ]
}

none_open() {
    [ "$(json status .blobs.open)" = 0 ]
}

for options in '' loop-devices; do
    for image in app devices; do
        say "$image ${options:-on files}: killed under eight readers"
        start_daemon
        mount_image "$registry/$image:v1" "$work/mnt" ${options:+-o "$options"}
        same_piece mnt 100 || die "wrong bytes"
        readers=()
        for _ in 1 2 3 4 5 6 7 8; do
            read_until_error mnt 2>>"$work/reader-errors.txt" &
            readers+=($!)
        done
        wait_for 20 "reads to begin" reads_begun
        kill_daemon
        for reader in "${readers[@]}"; do
            wait "$reader" || true
        done
        expect_text "$work/reader-errors.txt" 'Input/output error|Transport endpoint is not connected'
        must_be_dead mnt 5000

        say "restarted: the old mount stays dead, a new one works, and fetches nothing again"
        start_daemon
        before=$(json blobs "[.blobs[].present] | add")
        must_be_dead mnt 5000
        mount_image "$registry/$image:v1" "$work/new" ${options:+-o "$options"}
        same_piece new 100 || die "wrong bytes"
        same_piece new 5000 || die "wrong bytes"
        must_be_dead mnt 5000
        cmp "$work/tree/file" "$work/new/file"
        [ "$(counter bytes_fetched)" -le $((34000000 - before + 4200000)) ] || die "what was there was fetched again"
        expect_equal 1 "$(ls "$work/blobs" | wc -l)" "FUSE file systems"
        if [ -z "$options" ]; then
            sluicectl umount "$work/mnt"
        else
            umount "$work/mnt"
        fi
        umount "$work/new"
        wait_for 60 "the layers to be released" no_layers
        stop_daemon
        nothing_left
        rm -rf "${cache:?}"/cache
    done

    say "${options:-on files}: stopped while mounted and in use, unmounted afterwards"
    start_daemon
    mount_image "$registry/app:v1" "$work/mnt" ${options:+-o "$options"}
    exec 9<"$work/mnt/file"
    same_piece mnt 100 || die "wrong bytes"
    stop_daemon
    must_be_dead mnt 6000
    exec 9<&-
    sluicectl umount --layers-dir "$work/layers" "$work/mnt" # needs no daemon
    no_layers || die "the layer stays"
    nothing_left
done

say "unmounted lazily with a file open: it stays readable while the daemon lives, and goes with its last user"
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
exec 9<"$work/mnt/file"
umount -l "$work/mnt"
wait_for 60 "the layer to be released" no_layers
cmp -n 4096 - "$work/tree/file" <&9
exec 9<&-
wait_for 20 "the blob to be closed" none_open

say "a daemon that is killed leaves a mount that its successor cleans away"
kill_daemon
grep -q ' - fuse.sluice ' /proc/self/mountinfo || die "nothing was left behind"
start_daemon
expect_equal 1 "$(grep -c ' - fuse.sluice ' /proc/self/mountinfo)" "FUSE mounts"

say "a second daemon at the same blobs directory is refused"
sed "s,^dir .*,dir $work/other-cache,; s,^control-socket .*,control-socket $work/other.sock," "$work/sluiced.conf" \
    >"$work/other.conf"
mkdir "$work/other-cache"
must_fail "$build/daemon/sluiced" -n -f "$work/other.conf"
expect_text "$work/last-error" 'another sluiced'
mount_image "$registry/app:v1" "$work/mnt"
same_piece mnt 100 || die "the first daemon has suffered"
sluicectl umount "$work/mnt"
stop_daemon
nothing_left
