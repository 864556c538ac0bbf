"""The Python batches of CIFAR-10 and CIFAR-100: pickles, read by a machine that knows their few things and no more.

A batch is a dict with the byte strings `data` (an array (N, 3072) of uint8) and `labels`, or `fine_labels` and
`coarse_labels` (lists of ints), written by Python 2 with protocol 2. A pickle is a program, so two fences stand around
it. Before it runs, its instructions are scanned: only those that build dicts, lists, tuples, byte strings, small ints
and one array are let through. While it runs, the three names that an array needs stand for plain records here: not even
numpy's constructors see the file.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np

from minidl.data.files.bounded import DataError

# fmt: off
_CONTAINERS = frozenset((
    "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "GLOBAL", "REDUCE", "BUILD",
))
_INSTRUCTIONS = _CONTAINERS | frozenset((
    "PROTO", "STOP", "MARK", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "BINPUT", "LONG_BINPUT", "BINGET",
    "LONG_BINGET", "SHORT_BINSTRING", "BINSTRING", "BININT", "BININT1", "BININT2", "LONG1", "NONE", "NEWTRUE",
    "NEWFALSE",
))
# fmt: on
_MOST_CONTAINERS = 64
_WIDEST_GAP = 64


def read_batch(
    who: str, raw: bytes, keys: tuple[str, ...] = ("labels",), title: str = "CIFAR-10"
) -> tuple[np.ndarray, ...]:
    """Images (N, 3072) uint8, and labels (N,) int64 for each of `keys`, from the bytes of a Python batch.

    who: the file's name for messages. keys: the labels' names in the batch. title: of the data set, for messages.
    Raises DataError for anything that is not such a batch; nothing in it is executed.
    """
    try:
        _scan(raw)
        batch = _Machine(io.BytesIO(raw), encoding="bytes").load()
        data, lists = batch[b"data"], [batch[key.encode()] for key in keys]
    except pickle.UnpicklingError as error:
        raise DataError(f"{who}: is not a {title} Python batch: {error}") from None
    except (ValueError, TypeError, LookupError, AttributeError, EOFError) as error:
        raise DataError(f"{who}: is not a {title} Python batch ({type(error).__name__}: {error})") from None
    if not isinstance(data, _Array) or data.values is None or data.values.ndim != 2 or data.values.shape[1] != 3072:
        raise DataError(f"{who}: data must be an array (N, 3072) of uint8")
    count = len(data.values)
    for key, labels in zip(keys, lists, strict=True):
        if not isinstance(labels, list) or len(labels) != count or {type(label) for label in labels} - {int}:
            raise DataError(f"{who}: {key} must be a list of {count} ints, one an image")
    return data.values, *(np.array(labels, np.int64) for labels in lists)


def _scan(raw: bytes) -> None:
    """Refuse instructions that no batch needs, deep nesting (fills the stack) and memo gaps (fill the memory)."""
    containers = puts = 0
    stream, name = io.BytesIO(raw), ""
    while name != "STOP":
        code = stream.read(1)
        instruction = pickletools.code2op.get(code.decode("latin-1"))  # type: ignore[attr-defined]
        name = repr(code) if instruction is None else instruction.name
        if instruction is None or name not in _INSTRUCTIONS:  # before its argument is read, which may be anything
            raise pickle.UnpicklingError(f"holds the pickle instruction {name}, which no batch needs")
        if name == "GLOBAL":  # two lines, whose names the machine checks
            stream.readline(), stream.readline()
        argument = instruction.arg.reader(stream) if instruction.arg is not None and name != "GLOBAL" else None
        if name == "PROTO" and argument != 2:
            raise pickle.UnpicklingError(f"pickle protocol {argument}, must be 2")
        if name == "LONG1" and (argument is None or argument.bit_length() > 63):
            raise pickle.UnpicklingError("holds an int of more than 64 bits")
        if name in ("BINPUT", "LONG_BINPUT"):
            puts += 1
            if argument is None or argument > puts + _WIDEST_GAP:
                raise pickle.UnpicklingError(f"memo index {argument} out of order")
        if name in _CONTAINERS:
            containers += 1
            if containers > _MOST_CONTAINERS:
                raise pickle.UnpicklingError(f"holds more than {_MOST_CONTAINERS} containers")


class _Machine(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What the names stand for; pickle calls this for every name that a file asks for."""
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return _reconstruct
        if (module, name) == ("numpy", "ndarray"):
            return _NDARRAY
        if (module, name) == ("numpy", "dtype"):
            return _dtype
        raise pickle.UnpicklingError(f"asks for {module}.{name}, which no batch needs")


class _Mark:
    """A name that a pickle may pass on but not call or change."""

    __slots__ = ()


_NDARRAY = _Mark()


class _Uint8:
    """Stands for numpy's dtype of unsigned bytes."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment: of no meaning for bytes."""


class _Array:
    """Stands for the array: takes shape and bytes from the pickle's state."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Uint8) or not isinstance(raw, bytes) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("array must be of unsigned bytes")
        self.values = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("array must be an ndarray")
    return _Array()


def _dtype(code: object, *flags: object) -> _Uint8:
    if code not in (b"u1", b"|u1"):
        raise pickle.UnpicklingError(f"array has the dtype {code!r}, must be u1")
    return _Uint8()
