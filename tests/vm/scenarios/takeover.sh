#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --cpus 2
# sluiced --keeper over cachefiles: the daemon is killed six times under verifying readers, and none of them notices; nothing
# is fetched again that was written. When the keeper is killed, readers get errors and do not hang.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
make_tree "$work/tree"
random_bytes 16000000 takeover >"$work/tree/big"
publish --from-dir "$work/tree" "$registry/app:v1"
write_config 'read-ahead 0' 'random-window 64K'
"$build/daemon/sluiced" --keeper -f "$work/sluiced.conf" >>"$work/sluiced.log" 2>&1 3>&- &
daemon_pid=$!
wait_for 60 "sluiced to answer" daemon_answers
expect_equal cachefiles "$(json status .front_end.name)" "the front end"
expect_equal true "$(json status .kernel.restore)" "restore"
mount_image "$registry/app:v1" "$work/mnt"
size=$(json blobs '.blobs[0].erofs_size')

say "killed six times, each time after another eighth of the image was fetched"
served_at_least() {
    [ "$(served_bytes app)" -ge "$1" ]
}
compare_cold "$work/tree" "$work/mnt" &
readers=$!
for part in 1 2 3 4 5 6; do
    wait_for 200 "the readers to get on" served_at_least $((size * part / 8))
    kill -9 "$(json status .pid)"
done
wait "$readers" || die "the readers have noticed"
same_tree "$work/tree" "$work/mnt"
expect_equal 6 "$(json status .takeovers)" "takeovers"
expect_equal 0 "$(counter reads_failed)" "failed reads"
say "replayed by the last daemon: $(json status .device.replayed)"
# What was on its way at a death is fetched again; what was written is not.
again=$(($(served_bytes app) - size))
[ "$again" -lt $((size / 4)) ] || die "$again of $size bytes were fetched again"

say "replaced: the process is another one, the mount is the same"
before=$(json status .pid)
kill -HUP "$daemon_pid"
is_another() {
    [ "$(json status .pid)" != "$before" ]
}
wait_for 60 "the daemon to be replaced" is_another
drop_caches
diff <(sums "$work/tree") <(sums "$work/mnt") || die "files differ"

say "the next daemon trusts the image no more: what is cached of it is read, the rest is an error and no loop, until it is trusted again"
sluicectl umount "$work/mnt"
wait_for 60 "the layer to be released" no_layers
random_bytes 8000000 later >"$work/tree/big"
publish --from-dir "$work/tree" "$registry/later:v1"
mount_image "$registry/later:v1" "$work/mnt"
piece() {
    timeout 60 dd if="$work/mnt/big" bs=64k skip="$1" count=1 status=none
}
piece 8 | cmp -n 65536 - "$work/tree/big" -i "0:$((8 * 65536))"
replace_daemon() {
    before=$(json status .pid)
    kill -9 "$before"
    wait_for 60 "the next daemon" is_another
}
sed -i 's/image\.pub/other.pub/' "$work/sluiced.conf"
replace_daemon
drop_caches
piece 8 | cmp -n 65536 - "$work/tree/big" -i "0:$((8 * 65536))"
for block in 40 50 60; do
    must_fail piece "$block"
    expect_text "$work/last-error" 'Input/output error'
done
expect_equal 1 "$(counter opens_rejected)" "refused openings"
sed -i 's/other\.pub/image.pub/' "$work/sluiced.conf"
replace_daemon
cmp "$work/tree/big" "$work/mnt/big"

say "the keeper is killed: its daemon ends, and reads of what is not there fail"
sluicectl umount "$work/mnt"
wait_for 60 "the layer to be released" no_layers
random_bytes 8000000 last >"$work/tree/big"
publish --from-dir "$work/tree" "$registry/last:v1"
mount_image "$registry/last:v1" "$work/mnt"
child=$(json status .pid)
kill -9 "$daemon_pid"
gone() {
    ! kill -0 "$child"
}
wait_for 60 "the daemon to end" gone
must_fail cat "$work/mnt/big"
umount "$work/mnt"
