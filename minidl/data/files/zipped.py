"""IDX files inside a zip archive, read with bounds; nothing is written to disk."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from minidl.data.files.bounded import Content, DataError
from minidl.data.files.idx import MAX_BYTES, read_content

_MAX_DIRECTORY = 2**20  # the published archive lists some thirty files
_END = 22 + 2**16  # the record at an archive's end, with its comment


def read_zipped_idx(path: Path) -> np.ndarray:
    """The array of an IDX file, plain or gzipped, in a zip archive, in whatever folder of it.

    path: the archive's path, "/", the file's name without .gz. Raises DataError as `read_idx`, for the archive too.
    """
    archive, name = path.parent, path.name
    try:
        _check_directory(archive)
        with zipfile.ZipFile(archive) as opened:
            members = [
                info
                for info in opened.infolist()
                if PurePosixPath(info.filename).name in (name, f"{name}.gz") and "__MACOSX" not in info.filename
            ]
            if len(members) != 1:
                raise DataError(f"{archive}: has {len(members)} files {name}, must have one")
            method = members[0].compress_type
            if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # The others give errors of any kind on bad data, and LZMA takes the memory that the file asks for.
                raise DataError(f"{archive}: is packed by method {method}, must be stored or deflated")
            if members[0].header_offset < 0:  # zipfile would seek there and give the system's error
                raise DataError(f"{archive}: is not a zip archive, or is damaged (a file begins before it)")
            who = archive / members[0].filename
            with opened.open(members[0]) as file, Content(who, MAX_BYTES, _Stream(file, who)) as content:
                return read_content(content)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{archive}: is not a zip archive, or is damaged ({error})") from None


def _check_directory(archive: Path) -> None:
    """Refuse what is no regular file, and a table of contents that would fill the memory when zipfile reads it."""
    if not stat.S_ISREG(os.stat(archive).st_mode):
        raise DataError(f"{archive}: must be a regular file")
    with open(archive, "rb") as file:
        file.seek(-min(os.fstat(file.fileno()).st_size, _END), os.SEEK_END)
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    large = tail.rfind(b"PK\6\6")  # the same record with fields of eight bytes
    sizes = [int.from_bytes(tail[end + 12 : end + 16], "little")] if end >= 0 else []
    if large >= 0:
        sizes = [size for size in sizes if size != 2**32 - 1] + [
            int.from_bytes(tail[large + 40 : large + 48], "little")
        ]
    if max(sizes, default=0) > _MAX_DIRECTORY:
        raise DataError(f"{archive}: its table of contents has more than {_MAX_DIRECTORY} bytes")


class _Stream:
    """A file of an archive as `Content` reads one, its faults told as DataErrors."""

    def __init__(self, file: Any, who: Path) -> None:
        self._file, self._who = file, who

    def read(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
            raise DataError(f"{self._who}: corrupt zip data ({error})") from None

    def readinto(self, view: memoryview) -> int:
        part = self.read(len(view))
        view[: len(part)] = part
        return len(part)

    def seek(self, position: int) -> None:
        self._file.seek(position)

    def close(self) -> None:
        self._file.close()
