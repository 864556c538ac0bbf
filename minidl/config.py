"""What computes here: threads of the native backend, and a report of versions, backends and machine."""

from __future__ import annotations

import importlib
import platform
import warnings
from types import ModuleType

import numpy as np

from minidl import kernels
from minidl.kernels import checks, select
from minidl.version import __version__


def _native() -> ModuleType | None:
    """The native backend's module, None where this installation does not have it."""
    if "native" not in kernels.available():
        return None
    return importlib.import_module("minidl.kernels.native")


def set_num_threads(n: int) -> None:
    """Let the native backend compute with `n` threads (at least 1), in the whole process, from the next call on.

    Results do not depend on it, to the bit. The other backends have no threads of their own: im2col's matrix product is
    numpy's, whose threads the environment sets (OPENBLAS_NUM_THREADS); without the native backend this only warns.
    Raises TypeError or ValueError for other values.
    """
    n = checks.integer("set_num_threads", "n", n, 1)
    native = _native()
    if native is None:
        warnings.warn("set_num_threads has no effect: this installation has no native backend", stacklevel=2)
    else:
        native.set_num_threads(n)


def get_num_threads() -> int:
    """Number of threads of the native backend; 1 where this installation does not have it."""
    native = _native()
    return 1 if native is None else native.get_num_threads()


def show_config() -> None:
    """Print versions, the backends with the one in use, threads, instruction set and numpy's BLAS, one a line."""
    native = _native()
    rows = {
        "minidl": __version__,
        "python": f"{platform.python_version()} ({platform.machine()}, {platform.system()})",
        "numpy": f"{np.__version__} ({_blas()})",
        "backends": f"{', '.join(kernels.available())} (in use: {kernels.current().name})",
    }
    if native is None:
        lacks = select.what_native_lacks()
        why = f": {select.COMPILERS} can compile what it lacks, {lacks}" if lacks else ""
        rows["native"] = f"not available in this installation{why}"
    else:
        rows["threads"] = str(native.get_num_threads())
        rows.update(native.config())
    for name, value in rows.items():
        print(f"{name:<9} {value}")


def _blas() -> str:
    """Name and version of the library behind numpy's matrix product."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']}"
