#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""survive.py ORIGINAL MOUNTED ROUNDS KEEPER BACKING SIZE DIGEST URL LOG STATUS...

Eight readers hold MOUNTED against ORIGINAL without end, while the child of the process KEEPER, which is the daemon, is killed ROUNDS
times at random moments. No read may fail, and none bring a wrong or a missing byte. What was written to BACKING, the file of the blob
DIGEST of SIZE bytes, may not be asked for again: LOG (range_proxy.py's) has what was. That it would be seen is tried out last, by asking for a
part of URL, the blob, once more. The command STATUS prints the daemon's status as JSON.
"""
import json
import mmap
import multiprocessing
import os
import random
import signal
import ssl
import subprocess
import sys
import time
import urllib.request

BLOCK = 4096
PATIENCE = 120  # seconds until a daemon that was killed must be back


class Wrong(Exception):
    pass


def expect(right, what):
    if not right:
        raise Wrong(what)


def open_cold(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd


def pread(fd, size, at):
    data = os.pread(fd, size, at)
    expect(len(data) == size, f"a read at {at} brought {len(data)} bytes of {size}")
    return data


def by_pieces(fd, wanted, source):
    for _ in range(256):
        at = source.randrange(len(wanted))
        size = min(source.randrange(1, 1 << 17), len(wanted) - at)
        expect(pread(fd, size, at) == wanted[at:at + size], f"wrong bytes in the {size} at {at}")


def by_mapping(fd, wanted, source):
    with mmap.mmap(fd, len(wanted), mmap.MAP_SHARED, mmap.PROT_READ) as memory:
        memory.madvise(mmap.MADV_RANDOM)
        for _ in range(512):
            at = source.randrange(len(wanted)) // BLOCK * BLOCK
            expect(memory[at:at + BLOCK] == wanted[at:at + BLOCK], f"wrong bytes in the page at {at}")


def in_order(fd, wanted, _source):
    for at in range(0, len(wanted), 1 << 17):
        size = min(1 << 17, len(wanted) - at)
        expect(pread(fd, size, at) == wanted[at:at + size], f"wrong bytes in the {size} at {at}")


def read_file(original, mounted, source, method):
    with open(os.path.join(original, "file"), "rb") as file:
        wanted = file.read()
    fd = open_cold(os.path.join(mounted, "file"))
    try:
        expect(os.fstat(fd).st_size == len(wanted), f"it has {os.fstat(fd).st_size} bytes instead of {len(wanted)}")
        method(fd, wanted, source)
    finally:
        os.close(fd)


def run_program(original, mounted, source):
    name = source.choice(sorted(os.listdir(os.path.join(original, "bin"))))
    os.close(open_cold(os.path.join(mounted, "bin", name)))
    said = [subprocess.run([os.path.join(tree, "bin", name), os.path.join(original, "bin", name)], check=False, capture_output=True)
            for tree in (original, mounted)]
    expect(said[1].returncode == 0 and said[1].stdout == said[0].stdout, f"bin/{name} ends with {said[1].returncode} and says {said[1]}")


def reader(number, original, mounted, stop, results):
    """One pass after the other; when it is time to stop, one more, of the whole file."""
    source, passes, what = random.Random(number), 0, ""
    method = (by_pieces, by_mapping, in_order, None)[number % 4]
    try:
        while not stop.is_set():
            what = method.__name__ if method else "a program"
            read_file(original, mounted, source, method) if method else run_program(original, mounted, source)
            passes += 1
        what = "the last pass"
        read_file(original, mounted, source, in_order)
        results.put((number, passes, None))
    except (OSError, Wrong) as error:
        results.put((number, passes, f"reader {number}, {what}, after {passes} passes: {error}"))


def written_blocks(backing, size):
    """The blocks that have data in the backing file."""
    blocks, at, fd = set(), 0, os.open(backing, os.O_RDONLY)
    try:
        while at < size:
            try:
                begin = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(fd, begin, os.SEEK_HOLE)
            blocks.update(range(-(-begin // BLOCK), min(at, size) // BLOCK))
    finally:
        os.close(fd)
    return blocks


def asked_again(log, digest, snapshots, size):
    """Requests for blocks that had been written before, as (begin, end, how many such blocks)."""
    found = []
    with open(log, encoding="ascii") as lines:
        for line in lines:
            when, which, begin, end = line.split()
            begin, end = int(begin), min(int(end), size)
            before = [blocks for taken, blocks in snapshots if taken < int(when)]
            if which == digest and before:
                again = sum(block in before[-1] for block in range(begin // BLOCK, -(-end // BLOCK)))
                if again:
                    found.append((begin, end, again))
    return found


def child_of(keeper):
    with open(f"/proc/{keeper}/task/{keeper}/children", encoding="ascii") as file:
        children = file.read().split()
    return int(children[0]) if children else None


def wait_for(what, look):
    until = time.monotonic() + PATIENCE
    while (found := look()) is None:
        if time.monotonic() > until:
            raise Wrong(f"waited {PATIENCE} s for {what}")
        time.sleep(0.02)  # only paces the look
    return found


class Daemon:
    def __init__(self, keeper, command):
        self._keeper, self._command, self.killed = keeper, command, None
        self.replayed = 0

    def alive(self):
        """The process that is not the one that was killed."""
        def look():
            child = child_of(self._keeper)
            return child if child != self.killed else None
        return wait_for("another daemon", look)

    def status(self):
        def look():
            done = subprocess.run(self._command, check=False, capture_output=True, text=True)
            return json.loads(done.stdout) if done.returncode == 0 else None
        return wait_for("the daemon to answer", look)

    def count_replayed(self):
        """Each life counts its own, so before it ends."""
        def counts(value):
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            own = value.get("replayed", 0) if isinstance(value, dict) else 0
            return (own if isinstance(own, int) else 0) + sum(map(counts, inner))
        self.replayed += counts(self.status())

    def kill(self):
        self.killed = self.alive()
        os.kill(self.killed, signal.SIGKILL)


def ask_once_more(url):
    request = urllib.request.Request(url, headers={"Range": f"bytes=0-{BLOCK - 1}"})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])) as answer:
        expect(len(answer.read()) == BLOCK, "the proxy does not answer us")


def main():
    original, mounted, rounds, keeper, backing, size, digest, url, log = sys.argv[1:10]
    rounds, size = int(rounds), int(size)
    daemon, source, snapshots = Daemon(int(keeper), sys.argv[10:]), random.Random(), []
    stop, results = multiprocessing.Event(), multiprocessing.SimpleQueue()
    readers = [multiprocessing.Process(target=reader, args=(number, original, mounted, stop, results)) for number in range(8)]
    for process in readers:
        process.start()
    for number in range(rounds):
        daemon.alive()
        if number % 3 != 2:  # each third one dies young
            daemon.status()
            time.sleep(source.uniform(0, 1.5))  # the random moment
            daemon.count_replayed()
        daemon.kill()
        blocks = written_blocks(backing, size)
        snapshots.append((time.monotonic_ns(), blocks))
        print(f"   killed {number + 1} times, {len(blocks)} of {size // BLOCK} blocks are written", flush=True)
    daemon.alive()
    daemon.status()
    stop.set()
    for process in readers:
        process.join()
    faults = [f"reader {number} ended with {process.exitcode}" for number, process in enumerate(readers) if process.exitcode != 0]
    while not results.empty():
        number, passes, fault = results.get()
        faults += [fault] if fault else [] if passes else [f"reader {number} did nothing meanwhile"]
    daemon.count_replayed()
    faults += [f"[{begin}, {end}) was asked for, and {again} blocks of it had been written" for begin, end, again in
               asked_again(log, digest, snapshots, size)]
    if daemon.replayed < 1:
        faults.append("no request was replayed")
    seen = len(asked_again(log, digest, snapshots, size))
    snapshots.append((time.monotonic_ns(), written_blocks(backing, size)))
    ask_once_more(url)
    if len(asked_again(log, digest, snapshots, size)) != seen + 1:
        faults.append("a block that was asked for again on purpose was not seen")
    print("\n".join(faults[:20]) or f"   {rounds} deaths, {daemon.replayed} requests replayed; no error, no wrong byte, nothing fetched twice")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
