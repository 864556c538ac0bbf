"""Downloads of one file, from mirrors that behave well or badly."""

import gzip
import hashlib
import io
import socket
import sys
import threading
from types import SimpleNamespace

import pytest
from data_server import PAYLOAD

from minidl.data.files import download
from minidl.data.files.download import DownloadError, fetch
from minidl.data.files.published import CIFAR10, FASHION_MNIST, MNIST, Source


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


@pytest.mark.parametrize("source", [*MNIST, *FASHION_MNIST, CIFAR10], ids=lambda source: source.name)
def test_published_sources_are_complete(source):
    assert len(source.mirrors) >= 2
    assert len({mirror.split("/")[2] for mirror in source.mirrors}) == len(source.mirrors)
    assert all(mirror.endswith("/" + source.name) for mirror in source.mirrors)
    for digest in (source.sha256, source.content_sha256):
        assert digest is None or (len(digest) == 64 and set(digest) <= set("0123456789abcdef"))


def test_the_line_is_drawn_ten_times_a_second(monkeypatch):
    now = iter([10.0, 10.0, 10.0625, 10.125, 10.125, 10.1875])  # a look, and another one for each drawing
    monkeypatch.setattr(download, "time", SimpleNamespace(monotonic=lambda: next(now)))
    line = download._Progress(SimpleNamespace(name="file", size=1000), "host")
    line._live = True
    drawn = []
    monkeypatch.setattr(line, "_draw", lambda: drawn.append((line._received, setattr(line, "_drawn", next(now)))))
    for _ in range(4):
        line.advance(100)
    assert [received for received, _ in drawn] == [100, 300]
