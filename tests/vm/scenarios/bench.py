# SPDX-License-Identifier: Apache-2.0
"""bench.py WORK COPY CA: the measurements of bench.sh. WORK has mnt/NAME/file, trees/NAME/file and trees/NAME.url."""
import mmap
import os
import random
import statistics
import subprocess
import sys
import time

WORK, COPY, CA = sys.argv[1:]
ALL = None
# name, what it is, bytes a request, how many requests
CASES = (
    ("sequential", "sequential", 1 << 20, ALL),
    ("random-64k", "random 64 KiB", 1 << 16, 150),
    ("random-4k", "random 4 KiB", 1 << 12, 300),
)


def offsets(name, size, count):
    """Never the same bytes twice; for random access the first MiB, which comes with the mount, is left out."""
    whole = range(0, os.path.getsize(f"{WORK}/trees/{name}/file"), size)
    if count is ALL:
        return list(whole)
    return random.Random(name).sample([at for at in whole if at >= 2 << 20], count)


def timed(work, where):
    """Seconds of each request."""
    times = []
    for at in where:
        start = time.perf_counter()
        work(at)
        times.append(time.perf_counter() - start)
    return times


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as control:
        control.write("3\n")


def read(path, size, where, count):
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL if count is ALL else os.POSIX_FADV_RANDOM)
    buffer = mmap.mmap(-1, size)

    def one(at):
        if os.preadv(file, [buffer], at) != size:
            sys.exit(f"{path}: a short read at {at}")

    times = timed(one, where)
    os.close(file)
    return times


def copy(name, size, where):
    """The same bytes from memory into a sparse file, as the daemon writes them: O_DIRECT."""
    source = os.open(f"{WORK}/trees/{name}/file", os.O_RDONLY)
    target = os.open(COPY, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_DIRECT)
    os.ftruncate(target, os.path.getsize(f"{WORK}/trees/{name}/file"))
    buffer = mmap.mmap(-1, size)

    def one(at):
        os.preadv(source, [buffer], at)
        if os.pwritev(target, [buffer], at) != size:
            sys.exit("a short write")

    times = timed(one, where)
    os.close(source)
    os.close(target)
    return times


def download(name, size, where, count):
    """One curl for all requests, one after the other on one connection; its own times."""
    with open(f"{WORK}/trees/{name}.url") as file:
        url = file.read().strip()
    whole = os.path.getsize(f"{WORK}/trees/{name}/file")
    ranges = [(0, whole)] if count is ALL else [(at, size) for at in where]
    config = "\nnext\n".join(
        f'cacert={CA}\nsilent\nshow-error\nfail\noutput=/dev/null\nwrite-out="%{{time_total}}\\n"\n'
        f"url={url}\nrange={at}-{at + length - 1}"
        for at, length in ranges
    )
    done = subprocess.run(["curl", "-K", "-"], input=config, text=True, stdout=subprocess.PIPE, check=True)
    return [float(line) for line in done.stdout.split()]


def row(label, size, results, total):
    if total:
        values = [total / sum(times) / 2**20 for times in results]
        print(f"{label:22}" + "".join(f"{value:10.1f}" for value in values) + "  MiB/s "
              + "".join(f"{values[0] / value:8.2f}" for value in values[1:]))
        return
    for word, pick in (("median", statistics.median), ("p99", lambda times: statistics.quantiles(times, n=100)[98])):
        values = [pick(times) * 1000 for times in results]
        print(f"{label + ', ' + word:22}" + "".join(f"{value:10.2f}" for value in values) + "  ms    "
              + "".join(f"{values[0] / value:8.2f}" for value in values[1:]))


def main():
    print(f"\n{'cold':22}{'mount':>10}{'copy':>10}{'curl':>10}        {'/copy':>8}{'/curl':>8}")
    for name, label, size, count in CASES:
        where = offsets(name, size, count)
        results = [download(name, size, where, count), copy(name, size, where)]
        results.insert(0, read(f"{WORK}/mnt/{name}/file", size, where, count))
        row(label, size, [results[0], results[2], results[1]], size * len(where) if count is ALL else 0)
        if count is ALL:
            drop_caches()
            warm = read(f"{WORK}/mnt/{name}/file", size, where, count)
            copy(name, size, where)
            drop_caches()
            plain = read(COPY, size, where, count)
    print(f"\n{'from the disk':22}{'mount':>10}{'plain':>10}                  {'/plain':>8}")
    total = CASES[0][2] * len(warm)
    row("sequential", CASES[0][2], [warm, plain], total)


main()
