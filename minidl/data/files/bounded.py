"""The bytes of a data file, plain or gzipped, read with a bound: it may be truncated, corrupt, oversized or hostile."""

from __future__ import annotations

import io
import os
import stat
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_INPUT_CHUNK = 2**16
_OUTPUT_CHUNK = 2**20


def looks_like_page(head: bytes) -> bool:
    """Whether a file's first bytes are those of an HTML or XML page, as servers send in place of a missing file."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"


def as_path(who: str, path: Any) -> Path:
    """A path that a user has given, "~" being the home folder. Raises TypeError that names `who` for what is none."""
    try:
        return Path(os.path.expanduser(path))
    except TypeError:
        raise TypeError(f"{who}: path must be a path, got {path!r:.80}") from None


class DataError(ValueError):
    """A data file is damaged or not what it should be; the message begins with its path."""


class Content(io.RawIOBase):
    """A read-only byte stream of one file's content; its first bytes, not its name, tell whether it is gzipped.

    path: a regular file. limit: most bytes of content that may come out; no more is ever unpacked. stream: what to
    read in place of the file `path`, with its read, readinto, seek(0) and close; `path` then names it in messages.
    A gzip file holds one member; its checksum and length are verified where the end is reached.
    Every fault of the content is a DataError; FileNotFoundError and other OSErrors pass through.
    """

    def __init__(self, path: str | os.PathLike[str], limit: int, stream: Any = None) -> None:
        super().__init__()
        self.path, self.limit, self._total = Path(os.path.expanduser(path)), limit, 0
        self._file = self._open() if stream is None else stream
        head = self._file.read(512)
        self._file.seek(0)
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if head[:2] == b"\x1f\x8b" else None
        if looks_like_page(head):
            self.close()
            raise DataError(f"{self.path}: is an HTML page, not a data file; remove it and get the file anew")

    def _open(self) -> io.FileIO:
        status = os.stat(self.path)
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device would block or never end
            raise DataError(f"{self.path}: must be a regular file")
        if status.st_size > self.limit + self.limit // 64 + 4096:  # what gzip may add to incompressible data
            raise DataError(f"{self.path}: file of {status.st_size} bytes is larger than the limit of {self.limit}")
        return open(self.path, "rb", buffering=0)  # closed by close()

    def readable(self) -> bool:
        """True: the stream can be read."""
        return True

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):
            self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """Fill the start of a writable buffer; returns the number of bytes, 0 at the end of the content."""
        view = memoryview(buffer).cast("B")
        count = self._unpack(view) if self._inflate is not None else self._file.readinto(view) or 0
        self._total += count
        if self._total > self.limit:
            raise DataError(f"{self.path}: unpacks to more than the limit of {self.limit} bytes")
        return count

    def exactly(self, count: int) -> np.ndarray:
        """The next `count` bytes as a new uint8 array; DataError where the content ends before."""
        array = np.empty(count, np.uint8)
        done = 0
        while done < count:
            step = self.readinto(array[done:])
            if step == 0:
                due = self._total - done + count
                raise DataError(f"{self.path}: truncated: ends after {self._total} bytes, must have {due}")
            done += step
        return array

    def all_bytes(self) -> bytes:
        """Everything that is left, to the end, where a gzip file's checksum is verified."""
        parts = []
        while part := self.read(_OUTPUT_CHUNK):
            parts.append(part)
        return b"".join(parts)

    def expect_end(self) -> None:
        """Check that nothing is left, which also verifies a gzip file's checksum; DataError otherwise."""
        if self.readinto(bytearray(1)):
            raise DataError(f"{self.path}: has more than the {self._total - 1} bytes that it must have")

    def _unpack(self, view: memoryview) -> int:
        inflate = self._inflate
        assert inflate is not None
        if not view:  # zlib would take a maximum of 0 as "no maximum"
            return 0
        while not inflate.eof:
            packed = inflate.unconsumed_tail or self._file.read(_INPUT_CHUNK)
            try:
                part = inflate.decompress(packed, min(len(view), _OUTPUT_CHUNK))
            except zlib.error as error:
                raise DataError(f"{self.path}: corrupt gzip data ({error})") from None
            if part:
                view[: len(part)] = part
                return len(part)
            if not packed and not inflate.eof:
                raise DataError(f"{self.path}: truncated: the gzip stream ends after {self._total} bytes of content")
        if inflate.unused_data.strip(b"\0") or self._file.read(1):
            raise DataError(f"{self.path}: data follow the end of the gzip stream")
        return 0
