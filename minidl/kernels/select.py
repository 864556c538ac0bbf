"""Which backend computes: `use`, `current`, `available`. Default: MINIDL_BACKEND, else native, else im2col."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from minidl.kernels.assemble import FAMILIES, IncompleteError

NAMES = ("native", "im2col", "reference")
COMPILERS = "GCC 11, Clang 14 or newer"
"""That have vectors as a type, in which the native backend is written."""

_loaded: dict[str, ModuleType] = {}
_current: ModuleType | None = None


def _load(name: str) -> ModuleType:
    if name not in NAMES:
        raise ValueError(f"backend must be one of {', '.join(NAMES)}, got {name!r}")
    if name not in _loaded:
        try:
            _loaded[name] = importlib.import_module(f"minidl.kernels.{name}")
        except IncompleteError:
            raise
        except ImportError as error:
            raise RuntimeError(f"backend {name!r} is not available in this installation: {error}") from error
    return _loaded[name]


def _usable() -> Iterator[str]:
    for name in NAMES:
        try:
            _load(name)
        except RuntimeError as error:
            if name == "native" and not what_native_lacks():  # else the import of minidl has said so
                warnings.warn(str(error), RuntimeWarning, stacklevel=4)
            continue
        yield name


def what_native_lacks() -> str:
    """Names of the compiled modules that this installation does not have and its native backend needs; "" if none."""
    modules = ("lanearray", *(family for family in FAMILIES if family != "matrix"))
    return ", ".join(name for name in modules if find_spec(f"minidl._ext.{name}") is None)


def warn_without_native() -> None:
    """One line, a RuntimeWarning, where the native backend was not compiled and nobody chose another."""
    if what_native_lacks() and not os.environ.get("MINIDL_BACKEND"):
        warnings.warn(
            f"minidl is installed without its native backend, which {COMPILERS} can compile, and computes much slower "
            "without: minidl.show_config() tells more, MINIDL_BACKEND=im2col says that this is all right",
            RuntimeWarning,
            stacklevel=3,
        )


def available() -> tuple[str, ...]:
    """Names of the backends that this installation can use, fastest first."""
    return tuple(_usable())


def current() -> Any:
    """The backend module in use; a `minidl.kernels.contract.Backend`."""
    global _current
    if _current is None:
        chosen = os.environ.get("MINIDL_BACKEND")
        _current = _load(chosen or next(_usable()))
    return _current


class use:  # noqa: N801 - reads as a statement: kernels.use("im2col")
    """Choose the backend by name: at once as a call, for a block as a context manager.

    >>> use("im2col")                       # doctest: +SKIP
    >>> with use("reference"): ...          # doctest: +SKIP

    Raises ValueError for an unknown name, RuntimeError for a backend that this installation does not have.
    The choice is the process's, not the thread's.
    """

    def __init__(self, name: str) -> None:
        global _current
        backend = _load(name)
        self._previous = current()
        _current = backend

    def __enter__(self) -> Any:
        return current()

    def __exit__(self, *error: object) -> None:
        global _current
        _current = self._previous
