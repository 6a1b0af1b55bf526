# SPDX-License-Identifier: Apache-2.0
"""faulty_proxy.py PORT UPSTREAM CERTIFICATE KEY: HTTPS (HTTP/1.1) before a registry, that fails as it is told.

  POST /fault/KIND/TIMES   the next TIMES answers about blobs fail so (KIND is a name in FAULTS)
  POST /mend               no more of that
  GET  /faults             how many answers have failed since the last order
"""
import http.client
import http.server
import re
import socket
import ssl
import struct
import sys
import threading
import time

PORT, UPSTREAM, CERTIFICATE, KEY = int(sys.argv[1]), *sys.argv[2:5]
lock = threading.Lock()
order = {"kind": None, "times": 0, "hits": 0}


def take_fault():
    with lock:
        if order["times"] <= 0:
            return None
        order["times"] -= 1
        order["hits"] += 1
        return order["kind"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        words = self.path.strip("/").split("/")
        with lock:
            times = int(words[2]) if words[0] == "fault" else 0
            order.update(kind=words[1] if times else None, times=times, hits=0)
        self.answer(200, {}, b"")

    def do_GET(self):
        if self.path == "/faults":
            return self.answer(200, {}, b"%d\n" % order["hits"])
        kind = take_fault() if "/blobs/" in self.path else None
        if kind:
            return FAULTS[kind](self)
        return self.answer(*self.upstream())

    def upstream(self, moved=0, whole=False):
        """Status, headers and body of the registry; of a range `moved` bytes further on, or of the whole blob."""
        wanted = {name: value for name, value in self.headers.items() if name.lower() in ("accept", "range")}
        if whole:
            wanted.pop("Range", None)
        elif moved and "Range" in wanted:
            wanted["Range"] = re.sub(r"\d+", lambda number: str(int(number[0]) + moved), wanted["Range"])
        connection = http.client.HTTPSConnection(UPSTREAM, context=ssl.create_default_context())
        connection.request("GET", self.path, headers=wanted)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        kept = ("content-type", "content-range", "docker-content-digest")
        return response.status, {name: value for name, value in response.getheaders() if name.lower() in kept}, body

    def head(self, status, headers, length):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def answer(self, status, headers, body):
        self.head(status, headers, len(body))
        self.wfile.write(body)

    def drop(self):
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_):
        pass


def error(status, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(status, named, b"a fault\n")


def truncated(handler):
    status, headers, body = handler.upstream()
    handler.head(status, headers, len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.drop()


def short(handler):
    """Half of the range, honestly called so in Content-Length, not in Content-Range."""
    status, headers, body = handler.upstream()
    handler.answer(status, headers, body[: len(body) // 2])


def wrong_range(handler):
    handler.answer(*handler.upstream(moved=4096))


def wrong_bytes(handler):
    """The bytes of another range under the name of the right one: only the proof can tell."""
    status, headers, _ = handler.upstream()
    handler.answer(status, headers, handler.upstream(moved=4096)[2])


def no_range(handler):
    status, headers, body = handler.upstream()
    handler.answer(status, {name: value for name, value in headers.items() if name.lower() != "content-range"}, body)


def whole(handler):
    handler.answer(*handler.upstream(whole=True))


def trickle(size, pause):
    def run(handler):
        status, headers, body = handler.upstream()
        handler.head(status, headers, len(body))
        for at in range(0, len(body), size):
            handler.wfile.write(body[at : at + size])
            time.sleep(pause)

    return run


def garbage(handler):
    handler.wfile.write(b"\x00\xff this is no HTTP\r\n" * 20)
    handler.drop()


def reset(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.drop()


FAULTS = {
    "500": error(500),
    "503": error(503),
    "503-soon": error(503, Retry_After="1"),
    "503-late": error(503, Retry_After="3600"),
    "429": error(429, Retry_After="1"),
    "truncated": truncated,
    "short": short,
    "wrong-range": wrong_range,
    "wrong-bytes": wrong_bytes,
    "no-range": no_range,
    "whole": whole,
    "slow": trickle(8192, 0.02),
    "trickle": trickle(16, 0.2),
    "garbage": garbage,
    "closed": Handler.drop,
    "reset": reset,
}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # a client that hangs up is part of the game
        pass


server = Server(("127.0.0.1", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
