#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fuse_disk.py IMAGE FILE OUT SEED: serves IMAGE as FILE, over FUSE, for a loop device; a disk that loses what was not flushed.

Once OUT/power-cut is there, one of the next writes is the last one that counts: IMAGE.next is made, which is IMAGE as a power cut
at that moment leaves it, and then OUT/cut-done. Until it is killed it goes on serving IMAGE. See vmtools/losing_disk.
"""
import ctypes
import errno
import os
import pathlib
import random
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "vm"))
from vmtools import losing_disk  # noqa: E402

# Of <linux/fuse.h>; the only node is the file itself.
FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH, INIT = 2, 3, 4, 14, 15, 16, 18, 20, 25, 26
NO_ANSWER = (FORGET, 36, 42)  # and INTERRUPT, BATCH_FORGET
HEADER = struct.Struct("<IIQQIIII")
DIRECT_IO = 1
BIG_WRITES = 1 << 5


class FuseDisk:
    def __init__(self, image, out, seed):
        self.image, self.out = image, pathlib.Path(out)
        self.disk, self.chance = losing_disk.Disk(image), random.Random(seed)
        self.writes_left, self.is_cut = None, False

    def answer(self, kind, body):
        """(errno, data)"""
        if kind == INIT:
            return 0, struct.pack("<IIIIHHIIHH", 7, 31, 1 << 20, BIG_WRITES, 16, 12, 1 << 20, 1, 256, 0).ljust(64, b"\0")
        if kind in (GETATTR, SETATTR):
            return 0, struct.pack("<QII6Q10I", 3600, 0, 0, 1, self.disk.size, self.disk.size // 512, 0, 0, 0,
                                  0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0)
        if kind == OPEN:
            return 0, struct.pack("<QII", 1, DIRECT_IO, 0)
        if kind == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return 0, self.disk.read(offset, size)
        if kind == WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            self.disk.write(offset, body[40:40 + size], False)
            self.count_down()
            return 0, struct.pack("<II", size, 0)
        if kind == FSYNC:
            self.disk.flush()
        return (0 if kind in (FSYNC, FLUSH, RELEASE) else errno.ENOSYS), b""

    def count_down(self):
        if self.is_cut or (self.writes_left is None and not (self.out / "power-cut").exists()):
            return
        if self.writes_left is None:
            self.writes_left = losing_disk.writes_to_cut(self.chance)
        self.writes_left -= 1
        if self.writes_left < 0:
            self.cut()

    def cut(self):
        self.is_cut = True
        subprocess.run(["cp", "--sparse=always", self.image, self.image + ".next"], check=True)
        after = losing_disk.Disk(self.image + ".next")
        after.unflushed = list(self.disk.unflushed)
        print("power cut:", after.lose(self.chance), flush=True)
        (self.out / "cut-done").touch()


def main():
    image, file, out, seed = sys.argv[1:]
    disk = FuseDisk(image, out, seed)
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=100000,user_id=0,group_id=0"
    if libc.mount(b"losing-disk", file.encode(), b"fuse", 0, options.encode()) != 0:
        sys.exit(f"fuse_disk.py: mounting at {file}: {os.strerror(ctypes.get_errno())}")
    while True:
        try:
            message = os.read(device, 2 << 20)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return  # unmounted
            continue  # the asker has gone
        _, kind, unique, *_ = HEADER.unpack_from(message)
        if kind in NO_ANSWER:
            continue
        number, data = disk.answer(kind, message[HEADER.size:])
        try:
            os.write(device, struct.pack("<IiQ", 16 + len(data), -number, unique) + data)
        except OSError:
            pass  # so has this one


main()
