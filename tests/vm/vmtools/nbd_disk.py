# SPDX-License-Identifier: Apache-2.0
"""A guest's disk that loses what was not flushed (see losing_disk): an NBD server for one QEMU after the other.

The cut comes in the middle of the guest's writes, a number of them after the guest has made the file "power-cut": QEMU is killed.
The seed decides what is lost, and at which write.
"""
import random
import socket
import struct
import subprocess
import threading

from vmtools.losing_disk import Disk, writes_to_cut

READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
FORCE_UNIT_ACCESS = 1
HANDSHAKE_MAGIC, OPTION_MAGIC, REPLY_MAGIC = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
OPTION_EXPORT, OPTION_ABORT, OPTION_INFO, OPTION_GO = 1, 2, 6, 7
ACK, INFO, UNSUPPORTED = 1, 3, 0x80000001
HAS_FLAGS, CAN_FLUSH, CAN_FORCE = 1, 4, 8
REQUEST = struct.Struct(">IHHQQI")


class PowerCut(Exception):
    """The guest has to be killed."""


class NbdDisk:
    """Serves the disk to one QEMU after the other."""

    def __init__(self, path, out, seed, keeps_copy):
        self.path, self.socket_path, self.armed_by = path, path.with_suffix(".sock"), out / "power-cut"
        self.disk, self.chance = Disk(path), random.Random(seed)
        self.copy = out / "disk-after-cut" if keeps_copy else None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.socket_path))
        self.listener.listen(1)
        self.writes_left = None
        self.cuts = 0

    def drive(self):
        """What QEMU calls it."""
        return f"file=nbd+unix:///?socket={self.socket_path},format=raw,cache=writeback"

    def serve(self, process):
        """A thread that serves `process`, and kills it when its time has come."""
        self.armed_by.unlink(missing_ok=True)
        self.writes_left = None
        thread = threading.Thread(target=self._serve, args=(process,), daemon=True)
        thread.start()
        return thread

    def _serve(self, process):
        try:
            connection = self._connection_of(process)
            with connection, connection.makefile("rb") as requests:
                self._shake_hands(connection, requests)
                while self._answer(connection, requests):
                    pass
        except PowerCut:
            process.kill()
            process.wait()
            self.cuts += 1
            print(f"run-guest: power cut {self.cuts}: {self.disk.lose(self.chance)}", flush=True)
            if self.copy:
                subprocess.run(["cp", "--sparse=always", self.path, self.copy], check=True)
        except (OSError, struct.error):
            pass  # QEMU has ended, perhaps in the middle of a request

    def _connection_of(self, process):
        self.listener.settimeout(1)
        while True:
            try:
                connection, _ = self.listener.accept()
                connection.settimeout(None)
                return connection
            except TimeoutError:
                if process.poll() is not None:
                    raise  # it has ended before it came so far

    def _shake_hands(self, connection, requests):
        connection.sendall(HANDSHAKE_MAGIC + OPTION_MAGIC + struct.pack(">H", 1))
        requests.read(4)
        export = struct.pack(">QH", self.disk.size, HAS_FLAGS | CAN_FLUSH | CAN_FORCE)
        while True:
            _, option, length = struct.unpack(">8sII", requests.read(16))
            requests.read(length)

            def reply(kind, data=b"", option=option):
                connection.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)

            if option == OPTION_EXPORT:
                connection.sendall(export + bytes(124))
                return
            if option in (OPTION_INFO, OPTION_GO):
                reply(INFO, struct.pack(">H", 0) + export)
                reply(ACK)
                if option == OPTION_GO:
                    return
            else:
                reply(ACK if option == OPTION_ABORT else UNSUPPORTED)

    def _answer(self, connection, requests):
        """One request. False after the last one."""
        _, flags, kind, handle, offset, length = REQUEST.unpack(requests.read(REQUEST.size))
        data = b""
        if kind == DISCONNECT:
            self.disk.flush()  # QEMU has ended in order, with the guest
            return False
        if kind == READ:
            data = self.disk.read(offset, length)
        elif kind == WRITE:
            self.disk.write(offset, requests.read(length), flags & FORCE_UNIT_ACCESS != 0)
            self._count_down()
        elif kind == FLUSH:
            self.disk.flush()
        connection.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + data)
        return True

    def _count_down(self):
        if self.writes_left is None:
            if not self.armed_by.exists():
                return
            self.writes_left = writes_to_cut(self.chance)
        self.writes_left -= 1
        if self.writes_left < 0:
            raise PowerCut
