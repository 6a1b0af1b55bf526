#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What mounting says and does: what is there already, a tag that has moved, what set-user-id programs get, and another mount
# namespace whose owner wants to be taken for the daemon.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

start_registry
mkdir "$work/tree" "$work/upper"
echo first >"$work/tree/file"
cp /usr/bin/id "$work/tree/id"
chmod 4755 "$work/tree/id"
echo upper >"$work/upper/upper"
publish --from-dir "$work/tree" "$registry/app:v1"
publish --from-dir "$work/tree" --from-dir "$work/upper" "$registry/layers:v1"
write_config
start_daemon

# mounts_at DIR: how many mounts are stacked there.
mounts_at() {
    awk -v dir="$1" '$5 == dir' /proc/self/mountinfo | wc -l
}

say "mounting the same image again says so and does nothing; another one is refused"
mount_image "$registry/app:v1" "$work/mnt"
sluicectl mount "$registry/app:v1" "$work/mnt" >"$work/said"
expect_text "$work/said" "$registry/app:v1 is mounted at $work/mnt already"
expect_equal true "$(sluicectl --json mount "$registry/app:v1" "$work/mnt" | jq .was_mounted)" "was_mounted"
must_fail sluicectl mount "$registry/layers:v1" "$work/mnt"
expect_text "$work/last-error" "another image is mounted there already"
expect_equal 1 "$(mounts_at "$work/mnt")" "mounts"

say "a tag that has moved is looked at with --refresh only"
echo second >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"
sluicectl umount "$work/mnt"
mount_image "$registry/app:v1" "$work/mnt"
expect_text "$work/mnt/file" first
must_fail sluicectl mount --refresh "$registry/app:v1" "$work/mnt"
expect_text "$work/last-error" "another image is mounted there already"
sluicectl umount "$work/mnt"
mount_image "$registry/app:v1" "$work/mnt" --refresh
expect_text "$work/mnt/file" second

say "what the image holds gets no rights here unless it is asked for"
findmnt -nro OPTIONS "$work/mnt" | grep -qw nosuid || die "set-user-id programs count"
findmnt -nro OPTIONS "$work/mnt" | grep -qw nodev || die "device files count"
sluicectl umount "$work/mnt"
mount_image "$registry/layers:v1" "$work/mnt"
findmnt -nro OPTIONS "$work/mnt" | grep -w nosuid | grep -qw nodev || die "an overlay has other defaults"
sluicectl umount "$work/mnt"
mount_image "$registry/app:v1" "$work/mnt" -o suid,dev
! findmnt -nro OPTIONS "$work/mnt" | grep -E 'nosuid|nodev' || die "suid,dev was not heeded"
sluicectl umount "$work/mnt"

say "mount.sluice -N: the namespace's own socket and layers are not taken for ours"
mkdir "$work/forged" "$work/target"
cat >"$work/forged/daemon.py" <<'PYTHON'
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + "/control.sock")
listener.listen()
open(sys.argv[1] + "/ready", "w").close()
listener.accept()
open(sys.argv[1] + "/asked", "w").close()
PYTHON
python3 "$work/forged/daemon.py" "$work/forged" &
forger=$!
wait_for 20 "the forged daemon" test -e "$work/forged/ready"
# Both are mounted over ours where the attacker is; the process stays until it is told to end.
mkfifo "$work/stay"
unshare --mount --propagation private bash -c '
    mount --bind "$1/forged/control.sock" "$1/control.sock"
    mkdir -p "$1/layers"
    mount -t tmpfs forged "$1/layers"
    touch "$1/forged/entered"
    read -r _ <"$1/stay"' - "$work" &
attacker=$!
wait_for 20 "the other namespace" test -e "$work/forged/entered"
for image in app layers; do
    "$build/tools/mount.sluice" "$registry/$image:v1" "$work/target" -N "$attacker" -v -o "socket=$work/control.sock" >"$work/said"
    expect_text "$work/said" " mounted on"
    expect_text "/proc/$attacker/root$work/target/file" "second|first"
    "$build/tools/mount.sluice" "$registry/$image:v1" "$work/target" -N "$attacker" -v -o "socket=$work/control.sock" >"$work/said"
    expect_text "$work/said" "was already mounted"
    [ -z "$(ls -A "/proc/$attacker/root$work/layers")" ] || die "layers were mounted where the attacker has them"
    [ -z "$(ls -A "$work/target")" ] || die "it is mounted here"
    nsenter --mount="/proc/$attacker/ns/mnt" umount "$work/target"
done
[ ! -e "$work/forged/asked" ] || die "the attacker's socket was asked"
echo end >"$work/stay"
wait "$attacker"
kill "$forger"
wait "$forger" 2>/dev/null || true
wait_for 60 "the layers to be released" no_layers
stop_daemon

say "a key counts for its repositories only, for what was registered before, too"
sed -i "s,^trusted-key .*,& $registry/layers," "$work/sluiced.conf"
"$build/daemon/sluiced" --check-config -f "$work/sluiced.conf" >"$work/said"
expect_text "$work/said" "image.pub $registry/layers"
start_daemon
must_fail sluicectl mount "$registry/app:v1" "$work/mnt"
expect_text "$work/last-error" "image.pub may not sign for $registry/app, only for $registry/layers"
status=0
sluicectl mount "$registry/app:v1" "$work/mnt" 2>/dev/null || status=$?
expect_equal 3 "$status" "the exit status of what is denied"
mount_image "$registry/layers:v1" "$work/mnt"
sluicectl umount "$work/mnt"
stop_daemon
status=0
sluicectl images 2>/dev/null || status=$?
expect_equal 4 "$status" "the exit status without a daemon"
nothing_left
