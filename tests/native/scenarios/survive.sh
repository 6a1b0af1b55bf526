#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon dies again and again under eight readers, and none of them notices: `sluiced --keeper` starts another one, which answers
# what the dead one left open. Over cachefiles where the kernel has it, else on files where it can, and on loop devices.
# SLUICE_SURVIVE_MODE says how it dies (docs/testing.md), SLUICE_SURVIVE_ROUNDS how often, SLUICE_SURVIVE_KINDS on what the layers lie.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

mode=${SLUICE_SURVIVE_MODE:-kill}
deadline=100s
case $mode in # how often; how many MiB of the image for each time, so that something is left to be fetched; how fast they come
kill) rounds=10 each=2 wire=3000000 ;;
hang) rounds=3 each=6 wire=2000000 ;;
replay) rounds=3 each=4 wire=1000000 ;;
full) rounds=4 each=8 wire=1000000 ;;
registry) rounds=4 each=8 wire=1000000 deadline=10s ;; # what nobody sends fails after it
*) die "SLUICE_SURVIVE_MODE is kill, hang, replay, full or registry, and not $mode" ;;
esac
rounds=${SLUICE_SURVIVE_ROUNDS:-$rounds}
asides=0
[ "$mode" != full ] && [ "$mode" != registry ] || asides=$rounds
size=$(((rounds * each + 12) << 20))
if [ "$SLUICE_KERNEL" != native ]; then # slow
    size=$((size / 4))
    wire=$((wire / 4))
fi
proxy=localhost:5444

# serve_proxy: the registry as the daemon sees it, until it is killed; again, when $work/registry-gone is gone.
# Slow enough that the blob is not there before the last daemon dies.
serve_proxy() {
    while :; do
        wait_for 600 "the registry to come back" test ! -e "$work/registry-gone"
        python3 "$native/range_proxy.py" "${proxy#*:}" "$registry" "$keys/server.pem" "$keys/server.key" "$wire" "$work/asked" &
        echo $! >"$work/proxy.pid"
        wait $! || true
    done
}

# What happens to the daemon's surroundings, for survive.py: begin_trouble NUMBER, end_trouble NUMBER. A registry is silent, or away.
begin_trouble() {
    case $mode in
    full) fill_cache ;;
    registry)
        if [ $(($1 % 2)) = 0 ]; then
            kill -STOP "$(cat "$work/proxy.pid")"
        else
            touch "$work/registry-gone"
            kill -KILL "$(cat "$work/proxy.pid")"
        fi
        ;;
    esac
}
end_trouble() {
    case $mode in
    full) rm "$cache/filler" ;;
    registry)
        rm -f "$work/registry-gone"
        kill -CONT "$(cat "$work/proxy.pid")" 2>/dev/null || true
        ;;
    esac
}
# The cache gets a disk of its own, as it has one in guests, so that nobody else is hurt when it is full.
make_disk() {
    truncate -s $((size + asides * 1048576 + 67108864)) "$work/disk"
    mkfs.ext4 -q -F "$work/disk"
    mount -o loop "$work/disk" "$cache"
}
fill_cache() {
    local at=0 step
    for step in 268435456 16777216 1048576 65536 4096; do
        while fallocate -o $at -l $step "$cache/filler" 2>/dev/null; do
            at=$((at + step))
        done
    done
}
export -f begin_trouble end_trouble fill_cache
export mode cache work

start_registry
mkdir -p "$work/tree/bin"
random_bytes $size survive >"$work/tree/file"
# What survive.py looks at beside its readers, where it has to know what is not cached.
random_bytes $((asides * 1048576)) rest >"$work/tree/rest"
for number in 0 1 2 3 4 5 6 7; do
    cp /usr/bin/cksum "$work/tree/bin/cksum$number"
done
publish --from-dir "$work/tree" "$registry/app:v1"
serve_proxy >"$work/proxy.log" 2>&1 3>&- &
wait_for 30 "the proxy" curl -sf --cacert "$keys/ca.pem" "https://$proxy/v2/"
write_config "read-deadline $deadline" 'read-ahead 0' 'connect-timeout 2s' 'stall-timeout 4s'
kinds=()
if [ "$SLUICE_KERNEL" != native ] && [ -e /dev/cachefiles ]; then
    kinds=(cachefiles)
elif mounts_files; then
    kinds=(files loops)
else
    kinds=(loops)
fi
read -ra wanted <<<"${SLUICE_SURVIVE_KINDS:-${kinds[*]}}"
for kind in "${wanted[@]}"; do
    options=()
    [ "$kind" != loops ] || [ "${kinds[*]}" = loops ] || options=(-o loop-devices)
    say "on $kind: $rounds times, mode $mode, under eight readers"
    : >"$work/asked"
    [ "$mode-$SLUICE_KERNEL" != full-native ] || make_disk
    start_daemon --keeper
    mount_image "$proxy/app:v1" "$work/mnt" ${options[@]+"${options[@]}"}
    if [ "$kind" = cachefiles ]; then
        expect_equal cachefiles "$(json status .front_end.name)" "the front end"
    else
        layers_are "$kind"
    fi
    digest=$(blob_of "$proxy/app:v1")
    "$native/survive.py" "$mode" "$work/tree" "$work/mnt" "$rounds" "$daemon_pid" "$(backing_file "$(cookie_of "$digest")")" \
        "$(json blobs '.blobs[0].erofs_size')" "$digest" "https://$proxy/v2/app/blobs/$digest" "$work/asked" \
        "$build/tools/sluicectl" --socket "$work/control.sock" status --json || die "the readers noticed"
    sluicectl umount "$work/mnt"
    wait_for 60 "the layer to be released" no_layers
    stop_daemon
    [ "$mode-$SLUICE_KERNEL" != full-native ] || umount "$cache"
    nothing_left
    rm -rf "${cache:?}"/cache
done
