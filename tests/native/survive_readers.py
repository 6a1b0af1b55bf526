# SPDX-License-Identifier: Apache-2.0
"""Eight readers that hold what is mounted against the original without end, each in its own way; and single looks beside them."""
import errno
import mmap
import multiprocessing
import os
import random
import signal
import subprocess
import time

BLOCK = 4096
PATIENCE = 240  # seconds until what must happen has happened
COUNT = 8
REFUSALS = (errno.EIO, errno.ENOSPC, errno.ETIMEDOUT)  # EROFS makes EIO of the latter two, but for its metadata
BROKEN = (-signal.SIGBUS, -signal.SIGSEGV, -signal.SIGKILL)  # how a program ends of which a page could not be read


class Wrong(Exception):
    pass


def expect(right, what):
    if not right:
        raise Wrong(what)


def wait_for(what, look):
    until = time.monotonic() + PATIENCE
    while (found := look()) is None:
        if time.monotonic() > until:
            raise Wrong(f"waited {PATIENCE} s for {what}")
        time.sleep(0.02)  # only paces the look
    return found


def open_cold(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd


def compare(fd, wanted, size, at):
    data = os.pread(fd, size, at)
    expect(data == wanted[at:at + len(data)], f"wrong bytes in the {size} at {at}")
    if len(data) != size:  # how the kernel says that a later page could not be read
        raise OSError(errno.EIO, f"a read at {at} brought {len(data)} bytes of {size}")


def in_a_child(work):
    """A page that cannot be read ends the process that touches it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGBUS:
        raise OSError(errno.EIO, "SIGBUS")
    expect(status == 0, f"wrong bytes in a mapping (status {status})")


class Reader:
    """One of the eight, in its own process. What it does is made of steps, each of which has to succeed, unless there is trouble: an odd
    TROUBLE. Steps that began or ended in it may fail. STEPS has how many were done by each reader, REFUSED how many were not."""

    def __init__(self, number, original, mounted, trouble, steps, refused):
        self._number, self._original, self._mounted = number, original, mounted
        self._trouble, self._steps, self._refused = trouble, steps, refused
        self._source = random.Random(number)

    def _step(self, work):
        before = self._trouble.value
        try:
            work()
            self._steps[self._number] += 1
        except OSError as error:
            if error.errno not in REFUSALS or (before % 2 == 0 and self._trouble.value == before):
                raise
            self._refused[self._number] += 1

    def _by_pieces(self, fd, wanted):
        for _ in range(256):
            at = self._source.randrange(len(wanted))
            size = min(self._source.randrange(1, 1 << 17), len(wanted) - at)
            self._step(lambda: compare(fd, wanted, size, at))

    def _by_mapping(self, fd, wanted):
        def touch():
            with mmap.mmap(fd, len(wanted), mmap.MAP_SHARED, mmap.PROT_READ) as memory:
                memory.madvise(mmap.MADV_RANDOM)
                for at in places:
                    expect(memory[at:at + BLOCK] == wanted[at:at + BLOCK], f"wrong bytes in the page at {at}")
        for _ in range(16):
            places = [self._source.randrange(len(wanted)) // BLOCK * BLOCK for _ in range(32)]
            self._step(lambda: in_a_child(touch))

    def _in_order(self, fd, wanted):
        for at in range(0, len(wanted), 1 << 17):
            self._step(lambda: compare(fd, wanted, min(1 << 17, len(wanted) - at), at))

    def _read_file(self, method):
        with open(os.path.join(self._original, "file"), "rb") as file:
            wanted = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        fd = open_cold(os.path.join(self._mounted, "file"))
        try:
            expect(os.fstat(fd).st_size == len(wanted), f"it has {os.fstat(fd).st_size} bytes instead of {len(wanted)}")
            method(fd, wanted)
        finally:
            os.close(fd)

    def _run_program(self):
        name = self._source.choice(sorted(os.listdir(os.path.join(self._original, "bin"))))
        os.close(open_cold(os.path.join(self._mounted, "bin", name)))
        here, there = (subprocess.run([os.path.join(tree, "bin", name), os.path.join(self._original, "bin", name)], check=False,
                                      capture_output=True) for tree in (self._original, self._mounted))
        if there.returncode in BROKEN:
            raise OSError(errno.EIO, f"bin/{name} ended with {there.returncode}")
        expect(there.returncode == 0 and there.stdout == here.stdout, f"bin/{name} ends with {there.returncode} and says {there}")

    def run(self, stop, results):
        """One pass after the other; when it is time to stop, one more, of the whole file."""
        passes, what = 0, ""
        method = (self._by_pieces, self._by_mapping, self._in_order, None)[self._number % 4]
        try:
            while not stop.is_set():
                what = method.__name__ if method else "a program"
                self._read_file(method) if method else self._step(self._run_program)
                passes += 1
            what = "the last pass"
            self._read_file(self._in_order)
            results.put((self._number, passes, None))
        except (OSError, Wrong) as error:
            results.put((self._number, passes, f"reader {self._number}, {what}, after {passes} passes: {error}"))


class Readers:
    """All eight."""

    def __init__(self, original, mounted):
        self._trouble, self._stop = multiprocessing.Value("i", 0), multiprocessing.Event()
        self._steps, self._refused = multiprocessing.Array("q", COUNT), multiprocessing.Array("q", COUNT)
        self._results = multiprocessing.SimpleQueue()
        readers = [Reader(number, original, mounted, self._trouble, self._steps, self._refused) for number in range(COUNT)]
        self._processes = [multiprocessing.Process(target=reader.run, args=(self._stop, self._results)) for reader in readers]
        for process in self._processes:
            process.start()

    def begin_trouble(self):
        """From now on reads may fail."""
        self._trouble.value += 1

    def end_trouble(self):
        """What failed is over, and no read may fail any more, once each reader has got on twice: by then it has nothing under way that
        began in the trouble, and nobody remembers what failed in it."""
        for _ in range(2):
            before = list(self._steps)
            wait_for("each reader to get on", lambda: self._have_got_on(before))
            time.sleep(1.5)  # for so long a failure is remembered, and told again; see failure_memory
        self._trouble.value += 1

    def _have_got_on(self, before):
        expect(all(process.is_alive() for process in self._processes), "a reader has ended")
        return all(now > then for now, then in zip(self._steps, before)) or None

    def steps(self):
        return sum(self._steps)

    def refused(self):
        return sum(self._refused)

    def end(self):
        """Lets them end, and tells what was wrong."""
        self._stop.set()
        for process in self._processes:
            process.join()
        faults = [f"reader {number} ended with {process.exitcode}" for number, process in enumerate(self._processes) if process.exitcode]
        while not self._results.empty():
            number, passes, fault = self._results.get()
            faults += [fault] if fault else [] if passes else [f"reader {number} did nothing meanwhile"]
        return faults


class Places:
    """Parts of the file `rest`, which no reader reads: each is a hole of the cache until it is looked at here."""
    APART = 1 << 19

    def __init__(self, original, mounted):
        with open(os.path.join(original, "rest"), "rb") as file:
            self._wanted = file.read()
        self._path, self._next = os.path.join(mounted, "rest"), 0

    def fresh(self):
        """A place that was never looked at."""
        self._next += self.APART
        return self._next - self.APART

    def look(self, at):
        """Reads there, and not from the kernel's memory."""
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("1\n")
        fd = open_cold(self._path)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            compare(fd, self._wanted, BLOCK, at)
        finally:
            os.close(fd)

    def is_refused(self, at):
        try:
            self.look(at)
        except OSError as error:
            expect(error.errno in REFUSALS, f"a read of what cannot be had fails with: {error}")
            return True
        return False
