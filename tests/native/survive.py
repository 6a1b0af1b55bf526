#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""survive.py MODE ORIGINAL MOUNTED ROUNDS KEEPER BACKING SIZE DIGEST URL LOG STATUS...

Eight readers hold MOUNTED against ORIGINAL without end, while the child of the process KEEPER, which is the daemon, dies ROUNDS
times at random moments, in the way that MODE names. No read may fail, and none bring a wrong or a missing byte. What was written to
BACKING, the file of the blob DIGEST of SIZE bytes, may not be asked for again: LOG (range_proxy.py's) has what was. That it would be
seen is tried out last, by asking for a part of URL, the blob, once more. The command STATUS prints the daemon's status as JSON.

Modes: kill, with SIGKILL. hang, with SIGSTOP: the keeper's watchdog has to end it. replay: its successors are killed as well, while they
start and take over. full, registry: the disk is full, or the registry away, when it dies, and reads that need them fail; no other does.
These two call the shell functions begin_trouble and end_trouble.
"""
import glob
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import time
import urllib.request

sys.dont_write_bytecode = True
from survive_readers import BLOCK, Places, Readers, Wrong, expect, wait_for  # noqa: E402

IN_A_ROW = 8  # successors that die while they take over


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


class Witness:
    """Knows what had been written at which moment, and finds who asks for it again."""

    def __init__(self, backing, size, digest, log):
        self._backing, self._size, self._digest, self._log, self._snapshots = backing, size, digest, log, []

    def look(self):
        blocks = written_blocks(self._backing, self._size)
        self._snapshots.append((time.monotonic_ns(), blocks))
        return len(blocks)

    def asked_again(self):
        """Requests for blocks that had been written before, as (begin, end, how many such blocks)."""
        found = []
        with open(self._log, encoding="ascii") as lines:
            for line in lines:
                when, which, begin, end = line.split()
                begin, end = int(begin), min(int(end), self._size)
                before = [blocks for taken, blocks in self._snapshots if taken < int(when)]
                if which == self._digest and before:
                    again = sum(block in before[-1] for block in range(begin // BLOCK, -(-end // BLOCK)))
                    if again:
                        found.append((begin, end, again))
        return found

    def sees(self, url):
        """Whether it finds us when we ask for something on purpose."""
        seen = len(self.asked_again())
        self.look()
        request = urllib.request.Request(url, headers={"Range": f"bytes=0-{BLOCK - 1}"})
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])) as answer:
            expect(len(answer.read()) == BLOCK, "the proxy does not answer us")
        return len(self.asked_again()) == seen + 1


def child_of(keeper):
    for path in glob.glob("/proc/[1-9]*/stat"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                process, rest = file.read().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest.split()[1]) == keeper:
            return int(process.split()[0])
    return None


class Daemon:
    """The one that lives, of those that follow each other."""

    def __init__(self, keeper, command):
        self._keeper, self._command, self._gone = keeper, command, None
        self.deaths = self.replayed = 0

    def alive(self):
        """The process that is not the one that died last."""
        def look():
            child = child_of(self._keeper)
            return child if child != self._gone else None
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

    def end(self, how=signal.SIGKILL):
        self._gone = self.alive()
        self.deaths += 1
        os.kill(self._gone, how)


class Test:
    def __init__(self, mode, daemon, readers, witness, places):
        self._daemon, self._readers, self._witness, self._places = daemon, readers, witness, places
        self._source, self._round = random.Random(), getattr(self, f"_{mode}")
        self._start_takes = 1.0

    def round(self, number):
        self._daemon.alive()
        self._round(number)
        return self._witness.look()

    def _any_moment(self, least=0.0):
        self._daemon.status()
        time.sleep(self._source.uniform(least, least + 1.5))  # the random moment
        self._daemon.count_replayed()

    def _kill(self, number):
        if number % 3 != 2:  # each third one dies young
            self._any_moment()
        self._daemon.end()

    def _hang(self, _number):
        self._any_moment()
        self._daemon.end(signal.SIGSTOP)
        self._witness.look()
        self._daemon.alive()  # the next one: the keeper has killed this one

    def _replay(self, _number):
        self._any_moment(1.5)  # so that the keeper begins to count failures anew
        self._daemon.end()
        for _ in range(IN_A_ROW):
            self._daemon.alive()
            time.sleep(self._source.uniform(0, self._start_takes))  # a random moment of its start
            self._daemon.end()
            self._witness.look()
        began = time.monotonic()
        self._daemon.status()
        self._start_takes = 1.5 * (time.monotonic() - began)

    def _in_trouble(self, number):
        """What is cached can be read whatever happens; what is not fails, and can be read afterwards."""
        cached, missing = self._places.fresh(), self._places.fresh()
        self._any_moment()
        self._places.look(cached)
        self._readers.begin_trouble()
        if number % 2 == 0:  # it begins in the daemon's life, or between two
            self._call("begin_trouble", number)
            self._daemon.end()
        else:
            self._daemon.end()
            self._call("begin_trouble", number)
        self._witness.look()
        self._daemon.status()
        self._places.look(cached)
        expect(self._places.is_refused(missing), f"a read at {missing} succeeds, which cannot be")
        self._any_moment()
        self._daemon.end()
        self._places.look(cached)
        self._witness.look()
        self._call("end_trouble", number)
        wait_for("what was missing", lambda: None if self._places.is_refused(missing) else True)
        self._readers.end_trouble()

    _full = _registry = _in_trouble

    @staticmethod
    def _call(function, number):
        subprocess.run(["bash", "-euc", f"{function} {number}"], check=True)


def main():
    mode, original, mounted, rounds, keeper, backing, size, digest, url, log = sys.argv[1:11]
    rounds, blocks = int(rounds), int(size) // BLOCK
    witness, daemon = Witness(backing, int(size), digest, log), Daemon(int(keeper), sys.argv[11:])
    readers, faults = Readers(original, mounted), []
    test = Test(mode, daemon, readers, witness, Places(original, mounted))
    try:
        for number in range(rounds):
            written = test.round(number)
            print(f"   round {number + 1}: died {daemon.deaths} times, {written} of {blocks} blocks are written", flush=True)
        daemon.alive()
        daemon.count_replayed()
    except (Wrong, OSError, subprocess.CalledProcessError) as wrong:
        faults.append(f"round {number + 1}: {wrong}")
    faults += readers.end()
    daemon.count_replayed()
    faults += [f"[{begin}, {end}) was asked for, and {again} blocks of it had been written" for begin, end, again in witness.asked_again()]
    if daemon.replayed < 1:
        faults.append("no request was replayed")
    if mode in ("full", "registry") and readers.refused() < 1:
        faults.append("no reader needed what was away")
    if not witness.sees(url):
        faults.append("a block that was asked for again on purpose was not seen")
    print("\n".join(faults[:20]) or f"   {daemon.deaths} deaths, {daemon.replayed} requests replayed, {readers.steps()} reads compared, "
          f"{readers.refused()} refused in trouble; no other error, no wrong byte, nothing fetched twice")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
