"""The IDX format of MNIST: two zero bytes, type, number of dimensions, each size as a big-endian uint32, the values."""

from __future__ import annotations

import math
import os

import numpy as np

from minidl.data.files.bounded import Content, DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 8


MAX_BYTES = 2**30
"""Largest content of an IDX file; the largest published one has 547 MB."""


def read_idx(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array in an IDX file, plain or gzipped (told from the content, not from the name).

    path: the file. max_bytes: limit on the unpacked content, header included.
    Returns a new array with the file's shape and dtype (uint8, int8, int16, int32, float32 or float64, in native byte
    order). Raises DataError naming the file where magic number, sizes, length or gzip checksum are wrong or the limit
    is passed; OSError where the file cannot be read.
    Format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section on file formats.
    """
    with Content(path, max_bytes) as content:
        return read_content(content)


def read_content(content: Content) -> np.ndarray:
    """`read_idx` of an open stream, whose limit holds."""
    magic = bytes(content.exactly(4))
    if magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        rule = f"starts with {magic.hex(' ')}, must start with 00 00 and a type, as 00 00 08"
        raise DataError(f"{content.path}: is not an IDX file: {rule}")
    if not 1 <= magic[3] <= _MAX_DIMENSIONS:
        raise DataError(f"{content.path}: IDX file of {magic[3]} dimensions; must have 1 to {_MAX_DIMENSIONS}")
    dtype = np.dtype(_TYPES[magic[2]])
    shape = tuple(int(size) for size in content.exactly(4 * magic[3]).view(">u4"))
    # Zeros count as ones: a size that no array can have is refused even where another is 0.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize + 4 + 4 * len(shape) > content.limit:
        declared = f"declares {dtype.name} {shape}, above the limit of {content.limit} bytes"
        raise DataError(f"{content.path}: IDX header {declared}")
    values = content.exactly(math.prod(shape) * dtype.itemsize)
    content.expect_end()
    return values.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
