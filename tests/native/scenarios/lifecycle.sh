#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Daemon and mounts come and go in every order: killed under readers, stopped before the umount, started again, on files
# (where the kernel can) and on loop devices. Readers of a dead mount get EIO, a new mount works, what was downloaded is kept, nothing is left.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

start_registry
mkdir "$work/tree"
size=33554432
[ "$SLUICE_KERNEL" = native ] || size=8388608
random_bytes $size lifecycle >"$work/tree/file"
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

# read_until_error DIR: reads the first three quarters over and over; ends with the first error.
read_until_error() {
    while dd if="$work/$1/file" bs=128k count=$((size * 3 / 4 / 131072)) status=none >/dev/null; do
        echo 1 >/proc/sys/vm/drop_caches
    done
}

present() {
    json blobs '[.blobs[].present] | add'
}

half_present() {
    [ "$(present)" -gt $((size / 2)) ]
}

none_open() {
    [ "$(json status .blobs.open)" = 0 ]
}

kinds=(loops)
! mounts_files || kinds=(files loops)
images=(app devices) turns=(1 2)
[ "$SLUICE_KERNEL" = native ] || images=(devices) turns=(1) # guests are slow
for kind in "${kinds[@]}"; do
    options=()
    [ "${kinds[*]}" = loops ] || [ $kind = files ] || options=(-o loop-devices)
    for image in "${images[@]}"; do
        say "$image on $kind: killed under eight readers"
        start_daemon
        mount_image "$registry/$image:v1" "$work/mnt" ${options[@]+"${options[@]}"}
        layers_are $kind
        same_piece mnt 100 || die "wrong bytes"
        readers=()
        for _ in 1 2 3 4 5 6 7 8; do
            read_until_error mnt 2>>"$work/reader-errors.txt" &
            readers+=($!)
        done
        wait_for 120 "half of the file to be there" half_present
        kill_daemon
        for reader in "${readers[@]}"; do
            wait "$reader" || true
        done
        expect_text "$work/reader-errors.txt" 'Input/output error|Transport endpoint is not connected'
        must_be_dead mnt $((size / 4096 - 100))

        say "restarted: the old mount stays dead, a new one works, and fetches nothing again"
        start_daemon
        before=$(present)
        must_be_dead mnt $((size / 4096 - 100))
        mount_image "$registry/$image:v1" "$work/new" ${options[@]+"${options[@]}"}
        same_piece new 100 || die "wrong bytes"
        same_piece new $((size / 4096 - 50)) || die "wrong bytes"
        must_be_dead mnt $((size / 4096 - 100))
        cmp "$work/tree/file" "$work/new/file"
        fetched=$(counter bytes_fetched)
        echo "   $before bytes were there, $fetched were fetched"
        [ "$before" -gt $((size / 2)) ] || die "what was there is gone"
        expect_equal "$(present)" $((before + fetched)) "what was there, and what was fetched: each byte once"
        expect_equal 1 "$(ls "$work/blobs" | wc -l)" "FUSE file systems"
        sluicectl umount "$work/mnt"
        umount "$work/new"
        wait_for 60 "the layers to be released" no_layers
        stop_daemon
        nothing_left
        rm -rf "${cache:?}"/cache
    done

    say "on $kind: stopped while mounted and in use, unmounted afterwards"
    start_daemon
    mount_image "$registry/app:v1" "$work/mnt" ${options[@]+"${options[@]}"}
    exec 9<"$work/mnt/file"
    same_piece mnt 100 || die "wrong bytes"
    stop_daemon
    must_be_dead mnt $((size / 4096 - 100))
    exec 9<&-
    sluicectl umount --layers-dir "$work/layers" "$work/mnt" # needs no daemon
    no_layers || die "the layer stays"
    nothing_left
done

say "mount -a after a crash: dead mounts are replaced, live ones stay, of one layer and of several, on files and on loop devices"
mkdir "$work/upper"
echo upper >"$work/upper/upper"
publish --from-dir "$work/tree" --from-dir "$work/upper" "$registry/layers:v1"
use_mount_helper
row=0
for options in nosuid loop-devices; do
    for image in app layers; do
        for _ in 1 2; do
            row=$((row + 1))
            mkdir "$work/fstab-$row"
            printf '%s %s sluice socket=%s,%s 0 0\n' "$registry/$image:v1" "$work/fstab-$row" "$work/control.sock" "$options"
        done
    done
done >"$work/fstab"

# mounts_in_fstab: id and mount point of what stands there.
mounts_in_fstab() {
    awk -v prefix="$work/fstab-" 'index($5, prefix) == 1 { print $1, $5 }' /proc/self/mountinfo
}

start_daemon
for _ in "${turns[@]}"; do
    mount -a -T "$work/fstab" -t sluice
    all_mounted=$(mounts_in_fstab)
    expect_equal 8 "$(wc -l <<<"$all_mounted")" "mounts"
    mount -a -T "$work/fstab" -t sluice
    expect_equal "$all_mounted" "$(mounts_in_fstab)" "what is mounted after a second mount -a"
    for row in 1 2 3 4 5 6 7 8; do
        same_piece "fstab-$row" 200 || die "wrong bytes in fstab-$row"
    done
    kill_daemon
    echo 1 >/proc/sys/vm/drop_caches
    for row in 1 2 3 4 5 6 7 8; do
        must_be_dead "fstab-$row" 200
    done
    start_daemon
done
mount -a -T "$work/fstab" -t sluice
for row in 1 2 3 4 5 6 7 8; do
    sluicectl umount "$work/fstab-$row"
done
umount /usr/sbin
wait_for 60 "the layers to be released" no_layers
stop_daemon
nothing_left

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
