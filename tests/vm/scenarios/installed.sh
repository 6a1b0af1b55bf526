#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --systemd
# As an operator has it: `meson install`, the real unit under systemd, mount(8) with -t sluice and from fstab, .mount units,
# stop, start, kill.
. "$(dirname "$0")/lib-sluice.sh"
guest_only

say "installed"
meson install -C "$build" --no-rebuild --quiet
unit=
for prefix in /usr /usr/local; do
    [ ! -e $prefix/lib/systemd/system/sluiced.service ] || unit=$prefix/lib/systemd/system/sluiced.service
done
[ -n "$unit" ] || die "no unit was installed"
config=$(sed -n 's/^ExecStart=.* -f //p' "$unit")
[ -e "$config" ] || die "no configuration was installed"
sbin=$(dirname "$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$unit")")
[ -x /usr/sbin/mount.sluice ] || ln -s "$sbin/mount.sluice" /usr/sbin/
"$sbin/sluiced" -f "$config" --check-config >/dev/null || die "the packaged configuration is refused"
{
    printf 'dir /cache\n'
    printf 'trusted-key %s\n' "$keys/image.pub"
    printf 'registry-ca %s\n' "$keys/ca.pem"
} >"$config"

start_registry
mkdir "$work/tree"
random_bytes 3000000 installed >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"

# service COMMAND...: systemctl, with the journal where it fails.
service() {
    systemctl "$@" || die "systemctl $*: $(journalctl -u sluiced --no-pager -n 20)"
}

try_mount() {
    mount -t sluice "$registry/app:v1" "$work/mnt"
    cmp "$work/mnt/file" "$work/tree/file"
    umount "$work/mnt"
}

say "systemctl start, mount -t sluice, umount"
mkdir "$work/mnt"
systemctl daemon-reload
service start sluiced
expect_equal active "$(systemctl is-active sluiced)" "the unit's state"
try_mount
wait_for 60 "the layer to be released" not_mounted_below /run/sluice/layers

# mounted_right: the image is what stands at $work/mnt, and umount DIR takes it away.
mounted_right() {
    expect_equal "$(sha256sum <"$work/tree/file")" "$(sha256sum <"$work/mnt/file")" "the file, mounted by $1"
    findmnt -no OPTIONS "$work/mnt" | grep -Eqw ro || die "it is not read-only"
    "${@:2}"
    not_mounted "$work/mnt" || die "${*:2} left it mounted"
    wait_for 60 "the layer to be released" not_mounted_below /run/sluice/layers
}

say "/etc/fstab: mount DIR, mount -a twice, umount DIR"
printf '%s %s sluice noauto,_netdev,nosuid,nodev 0 0\n' "$registry/app:v1" "$work/mnt" >/etc/fstab
mount "$work/mnt"
findmnt -no OPTIONS "$work/mnt" | grep -qw nosuid || die "the options of fstab were lost"
mounted_right fstab umount "$work/mnt"
sed -i 's/noauto,//' /etc/fstab
mount -a -t sluice
mount -a -t sluice
expect_equal 1 "$(grep -cF " $work/mnt " /proc/self/mountinfo)" "mounts at the directory"
mounted_right 'mount -a' umount "$work/mnt"

say "systemd mounts what stands in fstab, and unmounts it"
systemctl daemon-reload
where=$(systemd-escape -p --suffix=mount "$work/mnt")
service start "$where"
expect_equal active "$(systemctl is-active "$where")" "the state of $where"
mounted_right "$where" service stop "$where"
: >/etc/fstab

say "a .mount unit of its own, which brings the daemon up"
cat >"/run/systemd/system/$where" <<UNIT
[Unit]
Requires=sluiced.service
After=sluiced.service

[Mount]
What=$registry/app:v1
Where=$work/mnt
Type=sluice
UNIT
systemctl daemon-reload
service stop sluiced
service start "$where"
expect_equal active "$(systemctl is-active sluiced)" "the daemon's state"
mounted_right "a .mount unit" service stop "$where"

say "SIGHUP is ignored"
before=$(systemctl show -p MainPID --value sluiced)
systemctl kill -s HUP sluiced
try_mount
expect_equal "$before" "$(systemctl show -p MainPID --value sluiced)" "the daemon's process"
wait_for 60 "the layer to be released" not_mounted_below /run/sluice/layers

say "stop, and start again"
service stop sluiced
[ ! -e /run/sluice/control.sock ] || die "the control socket is still there"
service start sluiced
try_mount
wait_for 60 "the layer to be released" not_mounted_below /run/sluice/layers

say "killed: systemd starts it again"
old=$(systemctl show -p MainPID --value sluiced)
systemctl kill -s KILL sluiced
new_one() {
    [ "$(systemctl show -p MainPID --value sluiced)" != "$old" ] && [ "$(systemctl is-active sluiced)" = active ]
}
wait_for 60 "systemd to start it again" new_one
try_mount
service stop sluiced
