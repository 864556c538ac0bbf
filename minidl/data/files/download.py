"""Downloads of data files: mirrors in turn, bounded size and time, the sum checked before a file gets its name."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import secrets
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from minidl.data.files.bounded import Content, looks_like_page
from minidl.data.files.published import Source
from minidl.support.terminal import interactive

STALL_SECONDS = 30.0
_SLOWEST = 1024  # bytes a second; a mirror that stays below for the stall time is given up
_CHUNK = 2**18


class DownloadError(OSError):
    """No mirror gave the file; the message tells in one line what each one answered."""


class _MirrorError(Exception):
    """One mirror failed; the next may do better."""


def fetch(source: Source, folder: Path, stall_seconds: float = STALL_SECONDS) -> Path:
    """Download one file into `folder`, which is made if need be, and return the file's path.

    The bytes go to a temporary file beside it, are checked against `source.sha256` (or, unpacked, `content_sha256`) and
    only then renamed: nobody ever sees a part of a file, and concurrent downloads do not disturb each other.
    stall_seconds: longest wait for a connection or for data, and the time after which less than 1 KiB/s is a stall.
    Raises DownloadError where every mirror fails, OSError where the folder cannot be written.
    """
    target = folder / source.name
    part = folder / f".{source.name}.{secrets.token_hex(8)}.part"
    failures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in source.mirrors:
            try:
                with open(part, "wb") as file:
                    digest = _receive(url, file, source, stall_seconds)
                    os.fsync(file.fileno())
                _check_sum(part, digest, source)
                os.replace(part, target)
                return target
            except _MirrorError as error:
                failures.append(f"{urlsplit(url).netloc}: {error}")
    except OSError as error:
        reason = error.strerror or error
        remedy = "set MINIDL_DATA to a folder that can be written"
        raise OSError(f"{source.name}: cannot write to {folder} ({reason}); {remedy}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    raise DownloadError(f"{source.name}: {'; '.join(failures)}")


def _receive(url: str, file: BinaryIO, source: Source, stall_seconds: float) -> str:
    """Write what `url` sends to `file`; returns the SHA-256 sum in hexadecimal."""
    digest = hashlib.sha256()
    with _Progress(source, urlsplit(url).netloc) as progress:
        for chunk in _chunks(url, 2 * source.size, stall_seconds):
            file.write(chunk)
            digest.update(chunk)
            progress.advance(len(chunk))
    file.flush()
    return digest.hexdigest()


def _chunks(url: str, limit: int, stall_seconds: float) -> Iterator[bytes]:
    """The bytes that `url` sends, as they come; every fault of the mirror or the network is a _MirrorError."""
    request = urllib.request.Request(url, headers={"User-Agent": "minidl", "Accept-Encoding": "identity"})
    try:
        with urllib.request.urlopen(request, timeout=stall_seconds) as response:
            declared = response.headers.get("Content-Length", "")
            total = int(declared) if declared.isdecimal() else None
            if total is not None and total > limit:
                raise _MirrorError(f"offers {total} bytes, more than the limit of {limit}")
            received, marked, since = 0, 0, time.monotonic()
            while chunk := response.read1(_CHUNK):
                if received == 0 and looks_like_page(chunk):
                    raise _MirrorError("sent an HTML page instead of the file")
                received += len(chunk)
                if received > limit:
                    raise _MirrorError(f"sends more than the limit of {limit} bytes")
                yield chunk
                now = time.monotonic()
                if now - since >= stall_seconds:
                    if received - marked < _SLOWEST * stall_seconds:
                        raise _MirrorError(f"stalled: fewer than {_SLOWEST} bytes a second for {stall_seconds:g} s")
                    marked, since = received, now
            if total is not None and received < total:
                raise _MirrorError(f"connection cut after {received} of {total} bytes")
    except urllib.error.HTTPError as error:
        error.close()
        raise _MirrorError(_one_line(f"HTTP {error.code} {error.reason}", stall_seconds)) from error
    except urllib.error.URLError as error:
        raise _MirrorError(_one_line(error.reason, stall_seconds)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _MirrorError(_one_line(error, stall_seconds)) from error


def _one_line(reason: object, stall_seconds: float) -> str:
    """An error's text for a message; servers may put anything into it."""
    if isinstance(reason, TimeoutError):
        return f"stalled: no data for {stall_seconds:g} s"
    text = "".join(letter if letter.isprintable() else " " for letter in str(reason)[:400])
    return " ".join(text.split())[:120] or type(reason).__name__


def _check_sum(file: Path, digest: str, source: Source) -> None:
    """Accept the published sum, or that of the published content in another packing."""
    if digest == source.sha256:
        return
    if source.content_sha256 is not None:
        try:
            with Content(file, source.content_size) as content:
                unpacked = hashlib.sha256(content.exactly(source.content_size).data).hexdigest()
                content.expect_end()
        except ValueError:
            unpacked = ""
        if unpacked == source.content_sha256:
            return
    raise _MirrorError(f"wrong SHA-256 sum {digest[:12]}..., must be {source.sha256[:12]}...")


class _Progress:
    """A line on stderr: redrawn in a terminal or a notebook, written once anywhere else."""

    def __init__(self, source: Source, host: str) -> None:
        self._source, self._host = source, host
        self._received, self._drawn, self._width = 0, 0.0, 0
        self._live = sys.stderr is not None and interactive(sys.stderr)

    def __enter__(self) -> _Progress:
        if sys.stderr is not None and not self._live:
            size = self._source.size / 1e6
            print(f"{self._source.name}: downloading {size:.1f} MB from {self._host}", file=sys.stderr)
        return self

    def advance(self, count: int) -> None:
        self._received += count
        if self._live and time.monotonic() - self._drawn >= 0.1:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        size = self._source.size
        done = f"{self._received / 1e6:.1f} of {size / 1e6:.1f} MB ({self._received / size:.0%})"
        text = f"{self._source.name}: {done} from {self._host}"
        text = text[: shutil.get_terminal_size().columns - 1]  # a wrapped line could not be redrawn
        print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
        self._width = len(text)

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._draw()
            print(file=sys.stderr)
