#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Throughput and latency of every way to the bytes of one image, cold (all from a registry on this machine, at
# SLUICE_MEASURE_WIRE as tc(8) writes it, 1gbit unless told; "none": loopback's own speed) and warm (all on this disk, not
# in memory): the front end in use, over files and over loop devices, and the library, beside nbdkit's curl plugin (which
# proves nothing) with its cache on the same disk, a full download, and EROFS on a plain local file. Tables to read, not
# a test. tests/native/run-native runs it, or a guest. Needs build/tests/bench/measured-reads; measures nbdkit where that
# and nbdfuse are installed (Debian: nbdkit, libnbd-bin).
# shellcheck disable=SC2154
. "$(dirname "$0")/../vm/scenarios/lib-sluice.sh"

megabytes=${SLUICE_MEASURE_MB:-256}
wire=${SLUICE_MEASURE_WIRE:-1gbit}
nbd_dir=$work/nbd

# mount_file FILE DIR: EROFS on the file itself, which mount(8) of Debian 12 cannot; over a loop device before Linux 6.12.
mount_file() {
    mkdir -p "$2"
    python3 - "$@" 2>/dev/null <<'PY' || mount -t erofs -o loop,ro "$@"
import ctypes, sys
libc = ctypes.CDLL(None)
sys.exit(libc.mount(sys.argv[1].encode(), sys.argv[2].encode(), b"erofs", 1, None))
PY
}

row() {
    printf '| %-26s | %10s | %13s | %8s | %15s |\n' "$@"
}

# measure NAME RANDOM-READS BEGIN END WHAT...: three runs, each between BEGIN and END: all of it in order, 4 KiB at random
# places by one reader, 64 KiB at random places by sixteen.
measure() {
    local name=$1 count=$2 begin=$3 end=$4 mode result=()
    shift 4
    for mode in "--length 131072" "--length 4096 --random $count" "--length 65536 --readers 16 --random $((count / 2))"; do
        "$begin"
        drop_caches
        # shellcheck disable=SC2086 # words
        result+=("$("$build/tests/bench/measured-reads" "$@" $mode | awk '{ print $1, $3 " / " $4 }')")
        "$end"
    done
    row "$name" "${result[0]%% *}" "${result[1]#* }" "${result[2]%% *}" "${result[2]#* }"
}

no_step() {
    :
}

mount_cold() {
    rm -rf "${cache:?}"/*
    start_daemon
    mount_image "$registry/app:v1" "$work/mnt" ${mount_options[@]+"${mount_options[@]}"}
}

unmount_stop() {
    sluicectl umount "$work/mnt"
    stop_daemon
}

# Registered, so that the library may open its blob.
register_cold() {
    mount_cold
    sluicectl umount "$work/mnt"
}

nbd_start() {
    mkdir -p "$nbd_dir/fs" "$nbd_dir/cache"
    # What it has fetched it keeps in a file in TMPDIR, as we do in ours.
    TMPDIR=$nbd_dir/cache nbdkit --foreground --exit-with-parent -U "$nbd_dir/socket" --pidfile "$nbd_dir/pid" \
        --filter=cache curl "$blob_url" cainfo="$keys/ca.pem" cache-on-read=true >>"$work/nbdkit.log" 2>&1 &
    nbdkit_pid=$!
    wait_for 10 "nbdkit" test -s "$nbd_dir/pid"
    nbdfuse --readonly "$nbd_dir/fs" --unix "$nbd_dir/socket" >>"$work/nbdkit.log" 2>&1 &
    nbdfuse_pid=$!
    wait_for 10 "nbdfuse" test -s "$nbd_dir/fs/nbd"
    mount_file "$nbd_dir/fs/nbd" "$nbd_dir/mnt"
}

nbd_stop() {
    umount "$nbd_dir/mnt"
    umount "$nbd_dir/fs"
    wait "$nbdfuse_pid" || true
    kill "$nbdkit_pid"
    wait "$nbdkit_pid" || true
    rm -f "$nbd_dir/pid" "$nbd_dir/socket"
}

# ranges LENGTH COUNT: a configuration for curl, of COUNT ranges at random places.
ranges() {
    awk -v ca="$keys/ca.pem" -v length_="$1" -v count="$2" -v slots=$(((megabytes << 20) / $1)) -v url="$blob_url" 'BEGIN {
        srand(1)
        for (i = 0; i < count; ++i) {
            at = int(rand() * slots) * length_
            printf "%surl=%s\nrange=%d-%d\n", i ? "next\n" : "", url, at, at + length_ - 1
            printf "output=/dev/null\nwrite-out=\"%%{time_total}\\n\"\ncacert=%s\nsilent\nshow-error\nfail\n", ca
        }
    }'
}

seconds_since() {
    awk -v from="$1" -v to="$(date +%s%N)" 'BEGIN { print (to - from) / 1e9 }'
}

percentiles() {
    sort -n | awk '{ t[NR] = $1 * 1e6 } END { printf "%.0f / %.0f\n", t[int(NR / 2) + 1], t[int(NR * 0.99) + 1] }'
}

# The blob to a file on this disk by one curl, then ranges of it, thrown away: one connection, and sixteen at once.
bare_download() {
    local begin all small large
    begin=$(date +%s%N)
    curl -sSf --cacert "$keys/ca.pem" "$blob_url" -o "$work/downloaded"
    sync "$work/downloaded"
    all=$(seconds_since "$begin")
    rm "$work/downloaded"
    small=$(ranges 4096 1000 | curl -K - | percentiles)
    begin=$(date +%s%N)
    large=$(ranges 65536 500 | curl --no-progress-meter --parallel --parallel-immediate --parallel-max 16 -K - | percentiles)
    row "full download; bare ranges" "$(awk "BEGIN { printf \"%.0f\", $megabytes / $all }")" "$small" \
        "$(awk "BEGIN { printf \"%.0f\", 500 / 16 / $(seconds_since "$begin") }")" "$large"
}

start_registry
mkdir -p "$work/tree" "$work/mnt" "$nbd_dir"
random_bytes $((megabytes << 20)) measure >"$work/tree/large"
publish --from-dir "$work/tree" "$registry/app:v1"
write_config "library-socket $work/blobs.sock"
mount_options=()
mount_cold
blob=$(blob_of "$registry/app:v1")
blob_url=https://$registry/v2/app/blobs/$blob
front_end=$(json status .front_end.name)
unmount_stop
[ "$wire" = none ] || tc qdisc add dev lo root tbf rate "$wire" burst 512kb latency 100ms

printf '%s MiB, wire: %s, front end: %s, kernel %s\n' "$megabytes" "$wire" "$front_end" "$(uname -r)"
row "" "in order" "4K, 1 reader" "64K, 16" "64K, 16 readers"
row "" "MiB/s" "p50 / p99 us" "MiB/s" "p50 / p99 us"
library=(--blob "$blob" --socket "$work/blobs.sock")

measure "$front_end, cold" 1000 mount_cold unmount_stop --file "$work/mnt/large"
[ "$front_end" = cachefiles ] || {
    mount_options=(-o loop-devices)
    measure "$front_end, loop, cold" 1000 mount_cold unmount_stop --file "$work/mnt/large"
    mount_options=()
}
measure "library, cold" 1000 register_cold stop_daemon "${library[@]}"
if command -v nbdkit nbdfuse >/dev/null; then
    measure "nbdkit curl, cold" 1000 nbd_start nbd_stop --file "$nbd_dir/mnt/large"
fi
bare_download
mount_cold
cat "$work/mnt/large" >/dev/null
measure "$front_end, warm" 4000 no_step no_step --file "$work/mnt/large"
sluicectl umount "$work/mnt"
[ "$front_end" = cachefiles ] || {
    mount_image "$registry/app:v1" "$work/mnt" -o loop-devices
    measure "$front_end, loop, warm" 4000 no_step no_step --file "$work/mnt/large"
    sluicectl umount "$work/mnt"
}
"$build/tests/bench/measured-reads" "${library[@]}" >/dev/null
measure "library, warm" 4000 no_step no_step "${library[@]}"
stop_daemon
if command -v nbdkit nbdfuse >/dev/null; then
    nbd_start
    cat "$nbd_dir/mnt/large" >/dev/null
    measure "nbdkit curl, warm" 4000 no_step no_step --file "$nbd_dir/mnt/large"
    nbd_stop
fi
mkfs.erofs --quiet "$work/plain.erofs" "$work/tree" >/dev/null
sync "$work/plain.erofs"
mount_file "$work/plain.erofs" "$work/plain"
measure "plain EROFS on a local file" 4000 no_step no_step --file "$work/plain/large"
umount "$work/plain"
