"""Memory that a training has left behind, given back to the operating system."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def give_back() -> None:
    """Free objects in circles, the buffers of the kernels, and, where it is glibc's, the heap."""
    gc.collect()
    with contextlib.suppress(ImportError):  # without the native backend there are no such buffers
        from minidl._ext.lanearray import release_memory

        release_memory()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library does it by itself, or never
        ctypes.CDLL(None).malloc_trim(0)
