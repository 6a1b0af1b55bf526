# SPDX-License-Identifier: Apache-2.0
"""A disk that loses in a power cut what a real one may lose: writes that no flush has followed.

Some of them are on the disk after the cut, some are not, and some are there in part, by sectors; whichever came first.
"""
import os

SECTOR = 512
MOST_WRITES = 200  # until the cut


def writes_to_cut(chance):
    """Small numbers as often as large ones."""
    return int(MOST_WRITES ** chance.random())


class Disk:
    """A file that knows which of its bytes could still be lost."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.unflushed = []  # (offset, what was there, what was written, whether it was forced), the oldest first

    def read(self, offset, length):
        return os.pread(self.file, length, offset)

    def write(self, offset, data, is_forced):
        self.unflushed.append((offset, self.read(offset, len(data)), data, is_forced))
        os.pwrite(self.file, data, offset)

    def flush(self):
        self.unflushed.clear()

    def lose(self, chance):
        """Leaves of the writes since the last flush what `chance` keeps, and tells about it."""
        kept = torn = 0
        for offset, before, _, _ in reversed(self.unflushed):
            os.pwrite(self.file, before, offset)
        keep = chance.choice((0, 0.1, 0.5, 0.9))
        for offset, _, data, is_forced in self.unflushed:
            sectors = len(data) // SECTOR
            if is_forced or chance.random() < keep:
                os.pwrite(self.file, data, offset)
                kept += 1
            elif chance.random() < 0.2 and sectors > 1:
                begin, end = sorted(chance.sample(range(sectors + 1), 2))
                os.pwrite(self.file, data[begin * SECTOR : end * SECTOR], offset + begin * SECTOR)
                torn += 1
        told = f"of {len(self.unflushed)} writes since the last flush {kept} were kept and {torn} were torn"
        self.unflushed.clear()
        return told
