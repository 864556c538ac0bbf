"""Arrays out of a file, checked against the data that are there before anything is allocated."""

from __future__ import annotations

import errno
import math
import os
import stat
from bisect import bisect_left, bisect_right
from typing import Any, BinaryIO

import numpy as np

MAX_DIMENSIONS = 32
GROWTH = 10
"""How many times the bytes of the file its constants may take."""
SLACK = 1 << 16
"""Bytes that they may always take."""


DTYPES: dict[int, tuple[str, np.dtype, str]] = {
    1: ("float", np.dtype("<f4"), "float_data"),
    2: ("uint8", np.dtype("u1"), "int32_data"),
    3: ("int8", np.dtype("i1"), "int32_data"),
    4: ("uint16", np.dtype("<u2"), "int32_data"),
    5: ("int16", np.dtype("<i2"), "int32_data"),
    6: ("int32", np.dtype("<i4"), "int32_data"),
    7: ("int64", np.dtype("<i8"), "int64_data"),
    9: ("bool", np.dtype("?"), "int32_data"),
    10: ("float16", np.dtype("<f2"), "int32_data"),
    11: ("double", np.dtype("<f8"), "double_data"),
    12: ("uint32", np.dtype("<u4"), "uint64_data"),
    13: ("uint64", np.dtype("<u8"), "uint64_data"),
    16: ("bfloat16", np.dtype("<u2"), "int32_data"),
}
"""TensorProto.DataType -> its name, its numpy dtype as raw bytes, and the field of numbers that it may use instead."""
BFLOAT16 = 16


class Store:
    """Reads tensors, and counts what they take."""

    def __init__(self, who: str, folder: str | None, size: int) -> None:
        self.who, self.folder = who, folder
        self.most = GROWTH * size + SLACK
        self.taken = 0
        self._read: dict[str, Ranges] = {}

    def array(self, tensor: Any, what: str) -> np.ndarray:
        """The tensor as an array of its own, bfloat16 as float32."""
        who = f"{self.who}, {what}"
        if tensor.data_type not in DTYPES:
            raise ValueError(f"{who}: data type number {tensor.data_type} is not supported")
        name, dtype, field = DTYPES[tensor.data_type]
        shape = tuple(int(size) for size in tensor.dims)
        if len(shape) > MAX_DIMENSIONS or any(size < 0 for size in shape):
            rule = f"shape must have at most {MAX_DIMENSIONS} sizes, each at least 0"
            raise ValueError(f"{who}: {rule}, got {shape[: MAX_DIMENSIONS + 1]}")
        count = math.prod(shape)
        external = tensor.data_location == 1
        if external:
            data = self._external(who, tensor.external_data, count * dtype.itemsize)
        elif tensor.HasField("raw_data"):
            data = tensor.raw_data
            if len(data) != count * dtype.itemsize:
                raise ValueError(
                    f"{who}: shape {shape} of {name} takes {count * dtype.itemsize} bytes, there are {len(data)}"
                )
        else:
            numbers = getattr(tensor, field)
            if len(numbers) != count:
                raise ValueError(f"{who}: shape {shape} has {count} numbers, there are {len(numbers)}")
            self._take(who, count * dtype.itemsize)
            wide = np.array(numbers, dtype=_WIDE[field])
            bits = tensor.data_type in (10, BFLOAT16)
            found = wide.astype(np.uint16).view(dtype) if bits else wide.astype(dtype)
            return self._finished(found.reshape(shape), tensor.data_type)
        self._take(who, count * dtype.itemsize)
        return self._finished(np.frombuffer(data, dtype, count).reshape(shape), tensor.data_type)

    def _finished(self, array: np.ndarray, code: int) -> np.ndarray:
        if code == BFLOAT16:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def _take(self, who: str, size: int) -> None:
        self.taken += size
        if self.taken > self.most:
            raise ValueError(f"{who}: tensors take more than {GROWTH} times the bytes of their file")

    def _external(self, who: str, entries: Any, size: int) -> bytes:
        """Data that lie in another file of the same folder."""
        settings = {str(entry.key): str(entry.value) for entry in entries}
        location = settings.get("location", "")
        if self.folder is None:
            raise ValueError(f"{who}: its data lie in the file {location!r}: give a path instead of bytes")
        if (
            location != os.path.basename(location)
            or location in ("", ".", "..")
            or "\\" in location
            or "\0" in location
        ):
            raise ValueError(f"{who}: external data must lie in the same folder, got location {location!r}")
        offset, length = (
            _whole(who, settings.get(key, str(default)), key) for key, default in (("offset", 0), ("length", size))
        )
        try:
            with opened(os.path.join(self.folder, location), links=False) as file:
                there = os.fstat(file.fileno()).st_size
                if length != size or offset + length > there:
                    raise ValueError(
                        f"{who}: its shape takes {size} bytes, the file says {length} at {offset}"
                        f" in {location!r} of {there}"
                    )
                file.seek(offset)
                data = file.read(length)
        except OSError as error:
            rule = "must be a regular file" if error.errno in NOT_REGULAR else f"cannot be read: {error.strerror}"
            raise ValueError(f"{who}: external data {location!r} {rule}") from error
        if len(data) != length:
            raise ValueError(f"{who}: external data {location!r} are cut off")
        self.most += GROWTH * self._read.setdefault(location, Ranges()).add(offset, offset + length)
        return data


NOT_REGULAR = (errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMLINK, errno.ENXIO)
"""Why `opened` does not open links (by system), folders, and what is no file."""


def opened(path: str, links: bool) -> BinaryIO:
    """A regular file, open for reading; a folder, a pipe or, without links, a link in its place is an OSError."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    number = os.open(path, flags if links else flags | getattr(os, "O_NOFOLLOW", 0))
    if (not links and os.path.islink(path)) or not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return os.fdopen(number, "rb")


class Ranges:
    """Places of a file that were read: the same ones again must not raise the bound."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> int:
        """How many places of start, ..., end - 1 are new."""
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)
        starts, ends = self._starts[first:last], self._ends[first:last]
        known = sum(min(b, end) - max(a, start) for a, b in zip(starts, ends))
        self._starts[first:last], self._ends[first:last] = [min([start, *starts])], [max([end, *ends])]
        return end - start - known


_WIDE = {
    "float_data": np.float32,
    "int32_data": np.int32,
    "int64_data": np.int64,
    "double_data": np.float64,
    "uint64_data": np.uint64,
}


def _whole(who: str, text: str, key: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError(f"{who}: {key} of external data must be a whole number of at least 0, got {text[:40]!r}")
    return int(text)
