#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cuts the power natively, again and again, with tests/vm/scenarios/power-cut.sh: the cache lies on a loop device over a disk that
# loses what was not flushed (fuse_disk.py). At the cut all processes are killed, and the next round begins with what the
# disk has kept. By name: [CUTS=100] [CUTS_FS=ext4|xfs] [CUTS_SEED=1] tests/native/run-native tests/native/power-cuts.sh
set -euo pipefail
cuts=${CUTS:-100} kind=${CUTS_FS:-ext4} seed=${CUTS_SEED:-1}
here=$(cd "$(dirname "$0")" && pwd)
base=${SLUICE_WORK:?is set by run-native}
cache=${SLUICE_CACHE:?}
out=$base/power
image=$out/disk
export SLUICE_WORK=$base/round SLUICE_OUT=$out

die() {
    printf 'FAILED: %s\n' "$*" >&2
    [ ! -e "$out/last.log" ] || tail -n 60 "$out/last.log" >&2
    exit 1
}

# until_true WHAT COMMAND...: for a minute at most.
until_true() {
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || die "waited 60 s for: $what"
        read -rt 0.05 <> <(:) || true
    done
}

mounted() {
    grep -qF " $1 " /proc/self/mountinfo
}

ended_or_cut() {
    [ -e "$out/cut-done" ] || ! kill -0 "$scenario"
}

# unmount_all: what the killed ones have left, and then the cache.
unmount_all() {
    local at
    awk -v dir="$SLUICE_WORK/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | tac | while read -r at; do
        umount -l "$at" || true
    done
    umount "$cache"
}

mkdir -p "$out" "$cache"
truncate -s 700M "$image"
"mkfs.$kind" -q "$image"
echo $((cuts + 1)) >"$out/boots"
for ((round = 1; round <= cuts + 1; ++round)); do
    echo "$round" >"$out/boot"
    rm -rf "$out/power-cut" "$out/cut-done" "$SLUICE_WORK"
    : >"$out/file"
    python3 "$here/fuse_disk.py" "$image" "$out/file" "$out" "$seed-$round" &
    server=$!
    until_true "the disk" mounted "$out/file"
    mount -t "$kind" -o loop "$out/file" "$cache" || die "$kind cannot be mounted after cut $((round - 1))"
    setsid bash "$here/../vm/scenarios/power-cut.sh" >"$out/last.log" 2>&1 &
    scenario=$!
    end=$((SECONDS + 300))
    until ended_or_cut 2>/dev/null; do
        [ "$SECONDS" -lt "$end" ] || die "no cut within 300 s"
        read -rt 0.05 <> <(:) || true
    done
    kill -KILL -- "-$scenario" 2>/dev/null || true
    status=0
    wait "$scenario" 2>/dev/null || status=$?
    grep "bytes are there" "$out/last.log" || true
    [ -e "$out/cut-done" ] || [ "$round:$status" = "$((cuts + 1)):0" ] || die "after cut $((round - 1)), seed $seed: status $status"
    until_true "$cache to be unmounted" unmount_all
    umount -l "$out/file"
    wait "$server" || true
    [ ! -e "$image.next" ] || mv "$image.next" "$image"
done
echo "$cuts power cuts on $kind, seed $seed: nothing was lost that had been synced, no wrong byte"
