#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""read_all.py ORIGINAL MOUNTED [READERS [KIB]]: every file of ORIGINAL must be in MOUNTED with the same bytes. Several
processes read in random order, each file in one of the ways that programs read: random pieces, through a mapping, by
sendfile, announced, or from the beginning to the end. Meanwhile each of them has the kernel drop its caches whenever it
has read KIB (1024) more."""
import hashlib
import mmap
import multiprocessing
import os
import random
import sys
import tempfile


class Dropper:
    """Drops the kernel's caches each time that `every` more bytes have been read: by progress, not by the clock."""

    every = 1 << 20

    def __init__(self):
        self._read = 0

    def read(self, size):
        self._read += size
        if self._read >= self.every:
            self._read = 0
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as control:
                control.write("3")


dropper = Dropper()


def by_random_pieces(fd, size, source):
    """In random order, in pieces of random sizes."""
    cuts = sorted({0, size, *(source.randrange(size + 1) for _ in range(min(64, size // 512)))})
    pieces = list(zip(cuts, cuts[1:]))
    source.shuffle(pieces)
    got = {}
    for begin, end in pieces:
        data = b""
        while begin + len(data) < end:
            more = os.pread(fd, end - begin - len(data), begin + len(data))
            if not more:
                raise EOFError(f"nothing at {begin + len(data)}")
            data += more
        got[begin] = data
        dropper.read(len(data))
    return b"".join(got[begin] for begin in sorted(got))


def by_mapping(fd, size, source):
    """Each page by its own fault, in random order, without readahead around it."""
    if size == 0:
        return b""
    with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
        memory.madvise(mmap.MADV_RANDOM)
        pages = list(range(0, size, mmap.PAGESIZE))
        source.shuffle(pages)
        for page in pages:
            memory[page]
            dropper.read(mmap.PAGESIZE)
        return bytes(memory)


def by_sendfile(fd, size, _source):
    with tempfile.TemporaryFile() as copy:
        at = 0
        while at < size:
            sent = os.sendfile(copy.fileno(), fd, at, min(size - at, 1 << 18))
            if sent == 0:
                raise EOFError(f"nothing at {at}")
            at += sent
            dropper.read(sent)
        copy.seek(0)
        return copy.read()


def announced(fd, size, _source):
    os.posix_fadvise(fd, 0, size, os.POSIX_FADV_WILLNEED)
    return by_order(fd, size, _source)


def by_order(fd, size, _source):
    data = b""
    while more := os.pread(fd, 1 << 18, len(data)):
        data += more
        dropper.read(len(more))
    return data


METHODS = (by_random_pieces, by_mapping, by_sendfile, announced, by_order)


def check(job):
    seed, original, mounted = job
    source = random.Random(seed)
    method = source.choice(METHODS)
    try:
        fd = os.open(mounted, os.O_RDONLY)
        try:
            data = method(fd, os.fstat(fd).st_size, source)
        finally:
            os.close(fd)
    except (OSError, EOFError) as error:
        return f"{mounted}: {method.__name__}: {error}"
    with open(original, "rb") as file:
        if hashlib.sha256(file.read()).digest() != hashlib.sha256(data).digest():
            return f"{mounted}: {method.__name__}: other bytes than in the original"
    return None


def main():
    original, mounted = sys.argv[1:3]
    readers = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    Dropper.every = int(sys.argv[4]) << 10 if len(sys.argv) > 4 else Dropper.every  # the readers are forked off afterwards
    names = [
        os.path.relpath(os.path.join(folder, name), original)
        for folder, _, files in os.walk(original)
        for name in files
        if not os.path.islink(os.path.join(folder, name))
    ]
    random.Random(7).shuffle(names)
    jobs = [(seed, os.path.join(original, n), os.path.join(mounted, n)) for seed, n in enumerate(names)]
    with multiprocessing.Pool(readers) as pool:
        faults = [fault for fault in pool.imap_unordered(check, jobs, chunksize=1 + len(jobs) // 512) if fault]
    for fault in faults[:20]:
        print(fault)
    print(f"{len(jobs)} files read, {len(faults)} wrong")
    sys.exit(1 if faults or not jobs else 0)


main()
