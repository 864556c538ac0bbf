"""A web server on this machine that answers well or badly, as the path asked for says."""

from __future__ import annotations

import http.server

import numpy as np

PAYLOAD = np.random.default_rng(0).bytes(300_000)
PAGE = b"<!DOCTYPE html>\n<html><body>Please log in to this network</body></html>"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path as its name says; `server.files` has further files, `server.seen` the paths asked for."""

    def do_GET(self):
        self.server.seen.append(self.path)
        name = self.path.strip("/").split("/")[0]
        getattr(self, f"send_{name}", self.send_named)()

    def send_named(self):
        raw = self.server.files.get(self.path)
        if raw is None:
            self.send_error(404)
        else:
            self.reply(raw)

    def reply(self, raw, length=None, status=200, **headers):
        self.send_response(status)
        if length != 0:
            self.send_header("Content-Length", str(len(raw) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def send_right(self):
        self.reply(PAYLOAD)

    def send_unannounced(self):  # no Content-Length: the end of the connection is the end of the file
        self.reply(PAYLOAD, length=0)

    def send_wrong(self):
        self.reply(PAYLOAD[:-1] + b"x")

    def send_page(self):
        self.reply(PAGE, Content_Type="text/html")

    def send_cut(self):
        self.reply(PAYLOAD[:1000], length=len(PAYLOAD))

    def send_cutunannounced(self):
        self.reply(PAYLOAD[:1000], length=0)

    def send_redirect(self):
        self.reply(b"", status=302, Location="/right/file")

    def send_circle(self):
        self.reply(b"", status=302, Location="/circle/file")

    def send_tofile(self):
        self.reply(b"", status=302, Location="file:///etc/passwd")

    def send_broken(self):
        self.send_error(503)

    def send_huge(self):
        self.reply(b"", length=10**15)

    def send_endless(self):
        self.reply(b"", length=0)
        while self.server.running:
            self.wfile.write(bytes(100_000))

    def send_silent(self):
        self.server.release.wait(20)

    def send_stalling(self):
        self.reply(PAYLOAD[:1000], length=len(PAYLOAD))
        self.wfile.flush()
        self.server.release.wait(20)

    def send_dripping(self):
        self.reply(b"", length=len(PAYLOAD))
        while not self.server.release.wait(0.02):
            self.wfile.write(b"x")
            self.wfile.flush()

    def send_escape(self):
        self.wfile.write(b"HTTP/1.1 500 \x1b[2Jnothing" + 10_000 * b" x" + b"\r\n\r\n")

    def send_nonsense(self):
        self.wfile.write(b"this is not HTTP\r\n\r\n")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients of these tests hang up."""
