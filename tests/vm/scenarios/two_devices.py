# SPDX-License-Identifier: Apache-2.0
"""two_devices.py META DATA NEW-META FIRST SECOND: makes of an EROFS image with one extra device (mkfs.erofs --chunksize
--blobdev; 1.5 knows only one) the same with two, into which the chunks of each file go by turns."""
import struct
import sys

BLOCK, SUPER, SLOT = 4096, 1024, 128
CHUNKED, INDEXES = 4, 0x20
INDEX = struct.Struct("<HHI")  # advise, device, block
FLAT_INLINE, DIRECTORY = 2, 0o040000


class Image:
    def __init__(self, data):
        self.bytes = bytearray(data)
        self.root, = struct.unpack_from("<H", self.bytes, SUPER + 14)
        self.meta_block, = struct.unpack_from("<I", self.bytes, SUPER + 40)
        if self.bytes[SUPER : SUPER + 4] != b"\xe2\xe1\xf5\xe0" or self.bytes[SUPER + 12] != 12:
            sys.exit("not an EROFS image with blocks of 4 KiB")

    def inode(self, number):
        """Offset, layout, mode, size, the word that the layout explains, and where the inode's tail begins."""
        at = self.meta_block * BLOCK + number * 32
        form, xattrs, mode = struct.unpack_from("<HHH", self.bytes, at)
        size, = struct.unpack_from("<Q" if form & 1 else "<I", self.bytes, at + 8)
        word, = struct.unpack_from("<I", self.bytes, at + 16)
        tail = at + (64 if form & 1 else 32) + (12 + (xattrs - 1) * 4 if xattrs else 0)
        return form >> 1 & 7, mode, size, word, tail

    def directory(self, number):
        """The bytes of a directory."""
        layout, _, size, word, tail = self.inode(number)
        whole = size // BLOCK * BLOCK if layout == FLAT_INLINE else size
        return self.bytes[word * BLOCK : word * BLOCK + whole] + self.bytes[tail : tail + size - whole]

    def inodes(self, number, seen):
        """This inode's number and those of everything below it, each once."""
        if number in seen:
            return
        seen.add(number)
        yield number
        if self.inode(number)[1] & 0o170000 != DIRECTORY:
            return
        entries = self.directory(number)
        for begin in range(0, len(entries), BLOCK):
            names, = struct.unpack_from("<H", entries, begin + 8)
            for at in range(begin, begin + names, 12):
                yield from self.inodes(struct.unpack_from("<Q", entries, at)[0], seen)


def main():
    image = Image(open(sys.argv[1], "rb").read())
    data = open(sys.argv[2], "rb").read()
    devices = [bytearray(), bytearray()]
    moved = {}  # block in DATA: (device, block)
    for number in image.inodes(image.root, set()):
        layout, mode, size, word, tail = image.inode(number)
        if layout != CHUNKED or mode & 0o170000 != 0o100000:
            continue
        if word & 0x1F or not word & INDEXES:
            sys.exit("expected chunks of one block, with indexes")
        for chunk in range((size + BLOCK - 1) // BLOCK):
            at = (tail + 7) // 8 * 8 + chunk * INDEX.size
            advise, device, block = INDEX.unpack_from(image.bytes, at)
            if block == 0xFFFFFFFF:  # a hole
                continue
            if device != 1:
                sys.exit(f"a chunk lies on device {device}")
            if block not in moved:
                target = devices[chunk % 2]
                moved[block] = chunk % 2 + 1, len(target) // BLOCK
                target += data[block * BLOCK : (block + 1) * BLOCK].ljust(BLOCK, b"\0")
            INDEX.pack_into(image.bytes, at, advise, *moved[block])

    # The device table grows by a slot: it moves to a block of its own, behind everything.
    table = bytearray(BLOCK)
    for number, device in enumerate(devices):
        struct.pack_into("<64sII", table, number * SLOT, b"", len(device) // BLOCK, 0)
    image.bytes += bytes(-len(image.bytes) % BLOCK)
    struct.pack_into("<HH", image.bytes, SUPER + 86, 2, len(image.bytes) // SLOT)
    image.bytes += table
    struct.pack_into("<I", image.bytes, SUPER + 36, len(image.bytes) // BLOCK)
    compatible, = struct.unpack_from("<I", image.bytes, SUPER + 8)
    struct.pack_into("<II", image.bytes, SUPER + 4, 0, compatible & ~1)  # without a checksum
    for path, content in zip(sys.argv[3:], (image.bytes, *devices)):
        with open(path, "wb") as file:
            file.write(content)


main()
