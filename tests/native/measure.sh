#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the FUSE front end costs: throughput and latency, cold (everything from the registry on this machine) and warm
# (from the disk), on files and on loop devices, beside EROFS mounted on the plain image. Run it by
# tests/native/run-native; not a test.
# shellcheck disable=SC2154
. "$(dirname "$0")/../vm/scenarios/lib-sluice.sh"

megabytes=${SLUICE_MEASURE_MB:-512}

# random_reads FILE COUNT THREADS: preads of 4 KiB at random places; prints how many a second, and the median in us.
random_reads() {
    python3 - "$@" <<'PY'
import os, random, sys, threading, time
path, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(path, os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
blocks = os.fstat(fd).st_size // 4096
times = []
def work(seed):
    at = random.Random(seed)
    for _ in range(count // threads):
        begin = time.perf_counter()
        os.pread(fd, 4096, at.randrange(blocks) * 4096)
        times.append(time.perf_counter() - begin)
begin = time.perf_counter()
jobs = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
for job in jobs:
    job.start()
for job in jobs:
    job.join()
took = time.perf_counter() - begin
print(f"{len(times) / took:.0f}/s {sorted(times)[len(times) // 2] * 1e6:.0f}us")
PY
}

# sequential FILE: MB/s with reads of a megabyte.
sequential() {
    dd if="$1" of=/dev/null bs=1M 2>&1 | awk '/copied/ { print $(NF - 1), $NF }'
}

# mount_file FILE DIR: EROFS on the file itself, which mount(8) of Debian 12 cannot.
mount_file() {
    python3 - "$@" <<'PY'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(sys.argv[1].encode(), sys.argv[2].encode(), b"erofs", 1, None) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
PY
}

row() {
    printf '%-34s %14s %20s %20s\n' "$@"
}

# warm NAME DIR
warm() {
    drop_caches
    local all one four
    all=$(sequential "$2/large")
    drop_caches
    one=$(random_reads "$2/large" 4000 1)
    drop_caches
    four=$(random_reads "$2/large" 8000 4)
    row "$1" "$all" "$one" "$four"
}

start_registry
mkdir -p "$work/tree"
random_bytes $((megabytes << 20)) measure >"$work/tree/large"
publish --from-dir "$work/tree" "$registry/app:v1"
write_config
start_daemon
row "" "sequential" "4K random, 1 thread" "4K random, 4 threads"

mount_image "$registry/app:v1" "$work/mnt"
row "fuse, files, cold" "$(sequential "$work/mnt/large")" "" ""
warm "fuse, files, warm" "$work/mnt"
sluicectl umount "$work/mnt"
mount_image "$registry/app:v1" "$work/mnt"
row "fuse, files, mounted again" "$(sequential "$work/mnt/large")" "" ""
sluicectl umount "$work/mnt"
mount_image "$registry/app:v1" "$work/mnt" -o loop-devices
warm "fuse, loop devices, warm" "$work/mnt"
sluicectl umount "$work/mnt"
stop_daemon
rm -rf "${cache:?}"/*
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
row "fuse, files, cold, random" "" "$(random_reads "$work/mnt/large" 1000 1)" "$(random_reads "$work/mnt/large" 1000 4)"
sluicectl umount "$work/mnt"

mkdir -p "$work/plain"
mkfs.erofs --quiet "$work/plain.erofs" "$work/tree" >/dev/null
mount_file "$work/plain.erofs" "$work/plain" || mount -t erofs -o loop,ro "$work/plain.erofs" "$work/plain"
warm "plain EROFS, local" "$work/plain"
umount "$work/plain"
stop_daemon
