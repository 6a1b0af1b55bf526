#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --systemd --cpus 2
# The real unit under systemd, with verifying readers on a mounted image: systemctl restart, kill -9, and a daemon that hangs
# until the watchdog ends it fail no read; systemctl stop ends what is mounted.
. "$(dirname "$0")/lib-sluice.sh"
guest_only

meson install -C "$build" --no-rebuild --quiet
unit=
for prefix in /usr /usr/local; do
    [ ! -e $prefix/lib/systemd/system/sluiced.service ] || unit=$prefix/lib/systemd/system/sluiced.service
done
[ -n "$unit" ] || die "no unit was installed"
config=$(sed -n 's/^ExecStart=.* -f //p' "$unit")
{
    printf 'dir /cache\n'
    printf 'trusted-key %s\n' "$keys/image.pub"
    printf 'registry-ca %s\n' "$keys/ca.pem"
    printf 'read-ahead 0\nrandom-window 64K\n'
} >"$config"
sluicectl() {
    "$build/tools/sluicectl" "$@"
}
service() {
    systemctl "$@" || die "systemctl $*: $(journalctl -u sluiced --no-pager -n 20)"
}
main_pid() {
    systemctl show -p MainPID --value sluiced
}

start_registry
make_tree "$work/tree"
random_bytes 16000000 restart >"$work/tree/big"
publish --from-dir "$work/tree" "$registry/app:v1"
systemctl daemon-reload
service start sluiced
expect_equal cachefiles "$(json status .front_end.name)" "the front end"
mount_image "$registry/app:v1" "$work/mnt"
size=$(json blobs '.blobs[0].erofs_size')

served_at_least() {
    [ "$(served_bytes app)" -ge "$1" ]
}
compare_cold "$work/tree" "$work/mnt" &
readers=$!

say "systemctl restart"
wait_for 200 "the readers to get on" served_at_least $((size / 8))
service restart sluiced
expect_equal 1 "$(json status .takeovers)" "takeovers"

say "killed"
wait_for 200 "the readers to get on" served_at_least $((size * 2 / 8))
systemctl kill -s KILL sluiced
takeovers() {
    [ "$(json status .takeovers)" = "$1" ]
}
wait_for 60 "the next daemon" takeovers 2

say "stopped with SIGSTOP: the watchdog ends it"
wait_for 200 "the readers to get on" served_at_least $((size * 3 / 8))
kill -STOP "$(main_pid)"
wait_for 120 "the next daemon" takeovers 3

wait "$readers" || die "the readers have noticed"
same_tree "$work/tree" "$work/mnt"
expect_equal 0 "$(counter reads_failed)" "failed reads"
sluicectl umount "$work/mnt"

say "systemctl stop: what is mounted is dead, and says so"
random_bytes 8000000 later >"$work/tree/big"
publish --from-dir "$work/tree" "$registry/later:v1"
mount_image "$registry/later:v1" "$work/mnt"
service stop sluiced
[ ! -e /run/sluice/control.sock ] || die "the control socket is still there"
must_fail cat "$work/mnt/big"
umount "$work/mnt"
service start sluiced
expect_equal 0 "$(json status .takeovers)" "takeovers after a stop"
mount_image "$registry/later:v1" "$work/mnt"
cmp "$work/tree/big" "$work/mnt/big"

say "what a stopped daemon has left is replaced, not taken for mounted"
random_bytes 8000000 last >"$work/tree/big"
publish --from-dir "$work/tree" "$registry/last:v1"
mount_image "$registry/last:v1" "$work/other"
service stop sluiced
service start sluiced
must_fail cat "$work/other/big"
mount_image "$registry/last:v1" "$work/other"
cmp "$work/tree/big" "$work/other/big"
sluicectl umount "$work/mnt"
sluicectl umount "$work/other"
service stop sluiced
