"""Downloads, against servers on this machine that behave well or badly."""

import gzip
import hashlib
import http.server
import io
import socket
import sys
import threading

import numpy as np
import pytest
from data_files import cifar_files, idx_bytes, tar_gz, write_mnist

from minidl.data import cifar, download, load_cifar10, load_mnist, mnist
from minidl.data.download import DownloadError, fetch
from minidl.data.sources import CIFAR10, FASHION_MNIST, MNIST, Source

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


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.seen, server.running, server.release = {}, [], True, threading.Event()
    server.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.running = False
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def source(server, *kinds, payload=PAYLOAD, **fields):
    mirrors = tuple(f"{server.base}/{kind}/file" for kind in kinds)
    return Source("file.gz", len(payload), hashlib.sha256(payload).hexdigest(), mirrors, **fields)


@pytest.mark.parametrize("kind", ["right", "unannounced", "redirect"])
def test_the_right_file_arrives_under_its_name(server, tmp_path, kind):
    path = fetch(source(server, kind), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "file.gz"
    assert path.read_bytes() == PAYLOAD
    assert list(path.parent.iterdir()) == [path]


BAD = {
    "wrong": "wrong SHA-256 sum",
    "page": "sent an HTML page instead of the file",
    "cut": "connection cut after 1000 of 300000 bytes",
    "cutunannounced": "wrong SHA-256 sum",
    "broken": "HTTP 503",
    "missing": "HTTP 404",
    "circle": "HTTP 302 The HTTP server returned a redirect error that would lead to an infinite loop.",
    "tofile": "HTTP 302",
    "huge": "offers 1000000000000000 bytes, more than the limit of 600000",
    "endless": "sends more than the limit of 600000 bytes",
    "escape": "HTTP 500 [2Jnothing x x",
    "nonsense": "this is not HTTP",
}
SLOW = {
    "silent": "stalled: no data for 0.3 s",
    "stalling": "stalled: no data for 0.3 s",
    "dripping": "stalled: fewer than 1024 bytes a second for 0.3 s",
}


@pytest.mark.parametrize("kind", [*BAD, *SLOW])
def test_a_bad_answer_leaves_nothing_behind_and_is_told(server, tmp_path, kind):
    with pytest.raises(DownloadError) as caught:
        fetch(source(server, kind), tmp_path, stall_seconds=0.3 if kind in SLOW else 20)
    message = str(caught.value)
    assert message.startswith("file.gz: 127.0.0.1:")
    assert (BAD | SLOW)[kind] in message
    assert message.isprintable()
    assert len(message) < 200
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [*BAD, *SLOW])
def test_the_next_mirror_is_tried(server, tmp_path, kind):
    path = fetch(source(server, kind, "right"), tmp_path, stall_seconds=0.3 if kind in SLOW else 20)
    assert path.read_bytes() == PAYLOAD
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_good_mirror_is_the_last_one_asked(server, tmp_path):
    fetch(source(server, "missing", "right", "unannounced"), tmp_path)
    assert server.seen == ["/missing/file", "/right/file"]


def test_what_every_mirror_answered_is_told_in_one_line(server, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{unused.getsockname()[1]}"
    dead = Source("file.gz", 10, "", (f"http://{closed}/file.gz", f"{server.base}/missing/", "nonsense:x"))
    with pytest.raises(DownloadError) as caught:
        fetch(dead, tmp_path)
    first, second, third = str(caught.value).split("; ")
    assert first.startswith(f"file.gz: {closed}: ")
    assert second == f"{server.base[7:]}: HTTP 404 Not Found"
    assert third == ": unknown url type: nonsense"


def test_the_same_content_in_another_packing_is_accepted(server, tmp_path):
    server.files["/packed/file"] = gzip.compress(PAYLOAD, 1)
    server.files["/plain/file"] = PAYLOAD
    server.files["/other/file"] = gzip.compress(PAYLOAD[:-1] + b"x")
    server.files["/cut/file"] = gzip.compress(PAYLOAD)[:-1]
    content = {"content_sha256": hashlib.sha256(PAYLOAD).hexdigest(), "content_size": len(PAYLOAD)}
    packed = gzip.compress(PAYLOAD, 9)
    for kind in ("packed", "plain"):
        path = fetch(source(server, kind, payload=packed, **content), tmp_path)
        assert path.read_bytes() == server.files[f"/{kind}/file"]
        path.unlink()
    with pytest.raises(DownloadError, match="wrong SHA-256 sum"):
        fetch(source(server, "other", payload=packed, **content), tmp_path)
    with pytest.raises(DownloadError, match="cut"):
        fetch(source(server, "cut", payload=packed, **content), tmp_path)
    with pytest.raises(DownloadError, match="wrong SHA-256 sum"):
        fetch(source(server, "packed", payload=packed), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_present_file_stays_whole_until_it_is_replaced(server, tmp_path):
    (tmp_path / "file.gz").write_bytes(b"old")
    with pytest.raises(DownloadError):
        fetch(source(server, "wrong"), tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == b"old"
    fetch(source(server, "right"), tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == PAYLOAD


def test_concurrent_downloads_do_not_disturb_each_other(server, tmp_path):
    failures = []

    def run():
        try:
            for _ in range(5):
                assert fetch(source(server, "wrong", "right"), tmp_path).read_bytes() == PAYLOAD
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]


def test_an_interrupt_leaves_nothing_behind(server, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(download._Progress, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(source(server, "right"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "regular").write_bytes(b"")
    with pytest.raises(OSError, match=r"file.gz: cannot write to .*regular.cache \(.*\); set MINIDL_DATA to a folder"):
        fetch(source(server, "right"), tmp_path / "regular" / "cache")
    assert server.seen == []


def test_a_full_disk_is_told_and_no_other_mirror_is_asked(server, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write to .* \(No space left on device\)"):
        fetch(source(server, "right", "unannounced"), tmp_path)
    assert server.seen == ["/right/file"]
    assert list(tmp_path.iterdir()) == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_redrawn_in_a_terminal_and_one_line_elsewhere(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", Terminal())
    fetch(source(server, "right"), tmp_path)
    assert sys.stderr.getvalue().startswith("\rfile.gz: ")
    assert "file.gz: 0.3 of 0.3 MB (100%) from 127.0.0.1:" in sys.stderr.getvalue()
    assert sys.stderr.getvalue().count("\n") == 1
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    fetch(source(server, "right"), tmp_path)
    assert sys.stderr.getvalue() == f"file.gz: downloading 0.3 MB from {server.base[7:]}\n"
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    fetch(source(server, "right"), tmp_path)


@pytest.fixture
def served(server, tmp_path, monkeypatch):
    """Small MNIST and CIFAR-10 files on the server, in place of the published ones; an empty cache."""
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.delenv("MINIDL_OFFLINE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")

    def publish(name, raw):
        server.files[f"/data/{name}"] = raw
        mirrors = (f"{server.base}/broken/{name}", f"{server.base}/data/{name}")
        return Source(name, len(raw), hashlib.sha256(raw).hexdigest(), mirrors)

    arrays = write_mnist(tmp_path / "origin", gz=True)
    names = [source.name for source in MNIST]
    sources = tuple(publish(name, (tmp_path / "origin" / name).read_bytes()) for name in names)
    monkeypatch.setattr(mnist, "MNIST", sources)
    monkeypatch.setattr(cifar, "CIFAR10", publish(CIFAR10.name, tar_gz(cifar_files())))
    server.arrays = arrays
    return server


def test_mnist_is_downloaded_once(served, tmp_path):
    (x, y), _ = load_mnist()
    np.testing.assert_array_equal(x[:, 0], served.arrays[0])
    np.testing.assert_array_equal(y, served.arrays[1])
    assert len(served.seen) == 8
    assert sorted(path.name for path in (tmp_path / "cache/minidl/mnist").iterdir()) == sorted(s.name for s in MNIST)
    load_mnist()
    assert len(served.seen) == 8


def test_only_what_is_missing_is_downloaded(served, tmp_path):
    folder = tmp_path / "cache" / "minidl" / "mnist"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(served.arrays[0]))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(served.files["/data/t10k-labels-idx1-ubyte.gz"])
    load_mnist()
    asked = [path for path in served.seen if path.startswith("/data/")]
    assert asked == ["/data/train-labels-idx1-ubyte.gz", "/data/t10k-images-idx3-ubyte.gz"]


def test_the_download_goes_to_minidl_data_where_that_is_set(served, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    load_mnist()
    (x, _), _ = load_cifar10()
    assert x.shape == (10, 3, 32, 32)
    assert (tmp_path / "data" / "mnist" / MNIST[0].name).is_file()
    assert (tmp_path / "data" / "cifar10" / CIFAR10.name).is_file()
    assert not (tmp_path / "cache").exists()


def test_a_given_path_is_never_downloaded_to(served, tmp_path):
    with pytest.raises(FileNotFoundError, match="must hold"):
        load_mnist(tmp_path / "nothing")
    assert served.seen == []


def test_offline_nothing_is_asked_for(served, monkeypatch):
    monkeypatch.setenv("MINIDL_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="MINIDL_OFFLINE"):
        load_cifar10()
    assert served.seen == []


def test_without_a_mirror_the_error_says_in_one_line_what_was_tried_and_how_to_go_on(served, tmp_path):
    served.files.clear()
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist()
    message = str(caught.value)
    assert "the download failed (train-images-idx3-ubyte.gz: 127.0.0.1:" in message
    assert "HTTP 503 Service Unavailable; 127.0.0.1:" in message
    assert "HTTP 404 Not Found). To place it by hand put train-images-idx3-ubyte," in message
    assert f"into {tmp_path / 'cache' / 'minidl' / 'mnist'}, or pass their folder as path" in message
    assert "\n" not in message


def test_a_cache_that_cannot_be_written_is_told(served, tmp_path, monkeypatch):
    (tmp_path / "regular").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "regular"))
    with pytest.raises(OSError, match=r"cannot write to .*regular.minidl.mnist \(.*\); set MINIDL_DATA"):
        load_mnist()


@pytest.mark.parametrize("source", [*MNIST, *FASHION_MNIST, CIFAR10], ids=lambda source: source.name)
def test_published_sources_are_complete(source):
    assert len(source.mirrors) >= 2
    assert len({mirror.split("/")[2] for mirror in source.mirrors}) == len(source.mirrors)
    assert all(mirror.endswith("/" + source.name) for mirror in source.mirrors)
    for digest in (source.sha256, source.content_sha256):
        assert digest is None or (len(digest) == 64 and set(digest) <= set("0123456789abcdef"))
