# SPDX-License-Identifier: Apache-2.0
"""Writes a guest's initramfs: static busybox and the scripts of guest/. Needs neither root nor cpio."""
import pathlib
import stat

HERE = pathlib.Path(__file__).resolve().parent.parent
BUSYBOX = "/bin/busybox"
FOLDERS = ("bin", "dev", "guest", "lower", "modules", "newroot", "proc", "sys", "upper")


class CpioWriter:
    """The "newc" format, as the kernel's Documentation describes it for initramfs."""

    def __init__(self, out):
        self._out = out
        self._inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        self._write(b"070701" + "".join(f"{field:08X}" for field in fields).encode() + encoded)
        self._write(data)

    def close(self):
        self.add("TRAILER!!!", 0)

    def _write(self, data):
        self._out.write(data + b"\0" * (-len(data) % 4))


def write(path, modules=()):
    busybox = pathlib.Path(BUSYBOX).read_bytes()
    if b"/ld-linux" in busybox[:4096]:
        raise RuntimeError(f"{BUSYBOX} is not static: install busybox-static")
    with open(path, "wb") as out:
        cpio = CpioWriter(out)
        for folder in FOLDERS:
            cpio.add(folder, stat.S_IFDIR | 0o755)
        cpio.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        cpio.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
        cpio.add("bin/busybox", stat.S_IFREG | 0o755, busybox)
        for source in sorted((HERE / "guest").iterdir()):
            name = "init" if source.name == "init" else f"guest/{source.name}"
            mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
            cpio.add(name, stat.S_IFREG | mode, source.read_bytes())
        for module in modules:
            cpio.add(f"modules/{module.name}", stat.S_IFREG | 0o644, module.read_bytes())
        cpio.close()
