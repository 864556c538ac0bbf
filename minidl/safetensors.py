"""Reader and writer of the safetensors format: named arrays in one file, no pickle, no code.

The format (https://huggingface.co/docs/safetensors, "Format"): 8 bytes, the header's length as a little-endian uint64;
the header, a JSON object {name: {"dtype", "shape", "data_offsets": [begin, end]}} with an optional "__metadata__" of
strings; then the arrays' bytes, row-major and little-endian, without gaps or overlaps. `load` accepts nothing else.
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from minidl.kernels import checks
from minidl.support import atomic

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
"""The format's dtypes that numpy has too."""

MAX_HEADER = 100_000_000
"""Largest header that `load` reads, in bytes; the limit of the format's own implementation."""

MAX_DIMENSIONS = 32
METADATA = "__metadata__"


def save(
    path: str | os.PathLike[str] | BinaryIO,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays to `path`; an older file there is replaced only once the new one is complete on the disk.

    path: a file's name, or a binary file object (anything with `write`), which gets the same bytes from where it
    stands and stays open; there nothing is undone if a write fails. tensors: arrays by name, of the dtypes in `DTYPES`
    (any memory order, any byte order). metadata: strings by name.
    Raises TypeError or ValueError for a name, dtype or metadata that the format has no place for, OSError if the file
    cannot be written; then the older file is untouched and nothing is left behind.
    """
    header: dict[str, Any] = {}
    if metadata:
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(f"safetensors: metadata must be strings by strings, got {key!r}: {value!r}")
        header[METADATA] = dict(metadata)
    codes = {dtype: code for code, dtype in DTYPES.items()}
    arrays: dict[str, np.ndarray] = {}
    for name, array in tensors.items():
        if not isinstance(name, str) or name == METADATA:
            raise ValueError(f"safetensors: a tensor's name must be a string other than {METADATA!r}, got {name!r}")
        arrays[name] = np.asarray(array)
    little: list[np.ndarray] = []
    end = 0
    # Widest elements first: every array then starts at a multiple of its element's size.
    for name in sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)):
        array = arrays[name]
        dtype = array.dtype.newbyteorder("<")
        if dtype not in codes:
            raise TypeError(
                f"safetensors: tensor {name!r} must have one of the dtypes {', '.join(DTYPES)}, got {array.dtype}"
            )
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": codes[dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        little.append(np.ascontiguousarray(array, dtype=dtype))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(f"safetensors: the header must be at most {MAX_HEADER} bytes, got {len(text)}")
    parts: list[Any] = [len(text).to_bytes(8, "little"), text, *(_bytes(array) for array in little)]
    if isinstance(path, (str, os.PathLike)):
        atomic.replace(path, parts)
        return
    _check_file("save", path, "write")
    for part in parts:
        rest = memoryview(part)
        while rest:
            written = path.write(rest)
            if written == 0:
                raise OSError(f"safetensors.save: {path!r} took none of {len(rest)} bytes")
            rest = rest[
                len(rest) if written is None else written :
            ]  # an unbuffered file may take less than it is given


def load(path: str | os.PathLike[str] | BinaryIO) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a file -> (arrays by name in the order of the header, metadata). The caller owns the arrays.

    path: a file's name, or a binary file object (anything with `read`), which is read from where it stands to its end
    and stays open.
    Raises ValueError that names the file and the fault for everything that is not exactly a safetensors file: cut off,
    too long, a header above `MAX_HEADER`, broken JSON, a name twice, unknown dtype, negative or huge shape, offsets
    that overlap, leave a gap, or do not fit shape and dtype. No array is allocated before all these checks have passed.
    """
    if isinstance(path, (str, bytes, os.PathLike)):
        who = f"safetensors file {os.fspath(path)!r}"
        stream: BinaryIO = open(os.path.expanduser(path), "rb")  # noqa: SIM115 - closed below
    else:
        _check_file("load", path, "read")
        content = path.read()
        if not isinstance(content, bytes):
            raise TypeError(f"safetensors.load: read() of {path!r} must give bytes, gave {type(content).__name__}")
        who = f"safetensors file {getattr(path, 'name', None) or type(path).__name__!r}"
        stream = io.BytesIO(content)
    with stream as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        header = _read_header(who, file, size)
        metadata = _check_metadata(who, header.pop(METADATA, {}))
        data = file.tell()
        layout = {name: _check_entry(f"{who}, tensor {name!r}", entry) for name, entry in header.items()}
        end = 0
        for name, (_, _, span) in sorted(layout.items(), key=lambda item: item[1][2]):
            if span[0] != end:
                fault = "overlaps the one before it" if span[0] < end else "leaves a gap before it"
                raise ValueError(f"{who}, tensor {name!r}: {fault} (offsets {list(span)}); tensors must lie end to end")
            end = span[1]
        if data + end != size:
            fault = "is cut off" if size < data + end else "has bytes after its last tensor"
            raise ValueError(f"{who}: {fault}: the header announces {data + end} bytes, the file has {size}")
        tensors = {
            name: _read(who, file, data + span[0], dtype, shape) for name, (dtype, shape, span) in layout.items()
        }
    return tensors, metadata


def _check_file(verb: str, file: Any, method: str) -> None:
    if not callable(getattr(file, method, None)) or isinstance(file, io.TextIOBase):
        rule = f"path must be a str, a path or a binary file object with {method}()"
        raise TypeError(f"safetensors.{verb}: {rule}, got {file!r}")


def _read_header(who: str, file: BinaryIO, size: int) -> dict[str, Any]:
    """The JSON object at the file's start, its names checked to be unique."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, MAX_HEADER):
        raise ValueError(
            f"{who}: not a safetensors file, or cut off: it has {size} bytes and announces a header of {length}"
            f" (at most {MAX_HEADER})"
        )
    text = file.read(length)
    if not text.startswith(b"{"):
        raise ValueError(f"{who}: the header must start with '{{', got {text[:20]!r}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            raise ValueError(f"name {twice!r} stands twice")
        return found

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{who}: the header is not a JSON object with unique names: {error}") from error


def _check_metadata(who: str, metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"{who}: {METADATA} must hold strings only")
    return metadata


def _check_entry(who: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], tuple[int, int]]:
    """dtype, shape and offsets of one tensor of the header, checked against each other."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{who}: must have exactly dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"{who}: dtype must be one of {', '.join(DTYPES)}, got {code!r}")
    for key, value in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(value, list) or not all(type(number) is int and 0 <= number < 2**63 for number in value):
            raise ValueError(f"{who}: {key} must be a list of integers of at least 0, got {value!r}")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"{who}: shape must have at most {MAX_DIMENSIONS} dimensions, got {len(shape)}")
    checks.check_elements(who, tuple(shape))
    nbytes = DTYPES[code].itemsize
    for number in shape:
        nbytes *= number
    if len(offsets) != 2 or offsets[1] - offsets[0] != nbytes:
        raise ValueError(f"{who}: data_offsets must span {nbytes} bytes (shape {shape}, dtype {code}), got {offsets}")
    return DTYPES[code], tuple(shape), (offsets[0], offsets[1])


def _read(who: str, file: BinaryIO, position: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """One array from its place in the file, in the machine's byte order."""
    array = np.empty(shape, dtype)
    file.seek(position)
    if file.readinto(_bytes(array)) != array.nbytes:  # type: ignore[attr-defined]
        raise ValueError(f"{who}: was cut off while it was read")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _bytes(array: np.ndarray) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    return array.reshape(-1).view(np.uint8).data
