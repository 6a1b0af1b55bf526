#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed again and again under eight readers, and none of them notices: `sluiced --keeper` starts another one, which
# answers what the dead one left open. On files where the kernel can, and on loop devices. SLUICE_SURVIVE_ROUNDS says how often.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

rounds=${SLUICE_SURVIVE_ROUNDS:-10}
size=33554432
[ "$SLUICE_KERNEL" = native ] || size=8388608
proxy=localhost:5444
start_registry
mkdir -p "$work/tree/bin"
random_bytes $size survive >"$work/tree/file"
for number in 0 1 2 3 4 5 6 7; do
    cp /usr/bin/cksum "$work/tree/bin/cksum$number"
done
publish --from-dir "$work/tree" "$registry/app:v1"
# Slow enough that the blob is not there before the last of them dies.
python3 "$native/range_proxy.py" "${proxy#*:}" "$registry" "$keys/server.pem" "$keys/server.key" $((size / rounds)) \
    "$work/asked" >"$work/proxy.log" 2>&1 3>&- &
wait_for 30 "the proxy" curl -sf --cacert "$keys/ca.pem" "https://$proxy/v2/"
write_config 'read-deadline 100s' 'read-ahead 0'

kinds=(loops)
! mounts_files || kinds=(files loops)
for kind in "${kinds[@]}"; do
    options=()
    [ "${kinds[*]}" = loops ] || [ $kind = files ] || options=(-o loop-devices)
    say "on $kind: killed $rounds times under eight readers"
    : >"$work/asked"
    start_daemon --keeper
    mount_image "$proxy/app:v1" "$work/mnt" ${options[@]+"${options[@]}"}
    layers_are $kind
    digest=$(blob_of "$proxy/app:v1")
    "$native/survive.py" "$work/tree" "$work/mnt" "$rounds" "$daemon_pid" "$(backing_file "$(cookie_of "$digest")")" \
        "$(json blobs '.blobs[0].erofs_size')" "$digest" "https://$proxy/v2/app/blobs/$digest" "$work/asked" \
        "$build/tools/sluicectl" --socket "$work/control.sock" status --json || die "the readers noticed"
    sluicectl umount "$work/mnt"
    wait_for 60 "the layer to be released" no_layers
    stop_daemon
    nothing_left
    rm -rf "${cache:?}"/cache
done
