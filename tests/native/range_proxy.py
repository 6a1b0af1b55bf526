#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""range_proxy.py PORT REGISTRY CERTIFICATE KEY BYTES_PER_SECOND LOG: hands GETs on to REGISTRY, all of them together no faster than
that. Before it hands on one for a blob, it appends "NANOSECONDS DIGEST BEGIN END" to LOG, by CLOCK_MONOTONIC; END is not included.
"""
import http.client
import http.server
import os
import re
import ssl
import sys
import threading
import time

PIECE = 1 << 15


class Wire:
    """What all answers share."""

    def __init__(self, bytes_per_second):
        self._rate = bytes_per_second
        self._lock = threading.Lock()

    def carry(self, piece, out):
        with self._lock:
            time.sleep(len(piece) / self._rate)  # this is the wire's speed, and no wait for anything
        out.write(piece)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        digest = re.search(r"/blobs/(sha256:[0-9a-f]{64})", self.path)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if digest and self.command == "GET":
            begin, end = (int(wanted[1]), int(wanted[2]) + 1) if wanted else (0, 1 << 62)
            os.write(self.server.log, f"{time.monotonic_ns()} {digest[1]} {begin} {end}\n".encode())

    def do_GET(self):
        self.note()
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        upstream = http.client.HTTPSConnection(self.server.registry, context=context)
        try:
            upstream.request(self.command, self.path, headers={name: self.headers[name] for name in ("Accept", "Range") if name in self.headers})
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "date", "server"):
                    self.send_header(name, value)
            self.end_headers()
            while piece := answer.read(PIECE) if self.command == "GET" else b"":
                self.server.wire.carry(piece, self.wfile)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True  # the daemon was killed
        finally:
            upstream.close()

    do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a handshake that the daemon's death cut off


def main():
    port, registry, certificate, key, rate, log = sys.argv[1:]
    server = Server(("127.0.0.1", int(port)), Handler)
    server.registry = registry
    server.wire = Wire(float(rate))
    server.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # Each connection's handshake in its own thread, so that one that hangs holds up no other.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


main()
