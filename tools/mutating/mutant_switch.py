"""Goes into the copy of the sources beside the package: says which mutant is switched on, and which were asked for.

MUTANT_ON in the environment switches one on, so that it is on in processes that a test starts, too; `use` does so
in this one. (Tests clear settings that start with MINIDL_.) MUTANTS_SEEN names a folder in which such processes leave
what they have asked for.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from pathlib import Path

KERNELS = ctypes.CDLL(str(next(Path(__file__).parent.glob("minidl/_ext/lanearray.*.so"))))
NOW = ctypes.c_int.in_dll(KERNELS, "minidl_mutant_now")
SEEN = (ctypes.c_ubyte * ctypes.c_int.in_dll(KERNELS, "minidl_mutants").value).in_dll(KERNELS, "minidl_mutant_seen")


def minidl_mutant(number: int) -> bool:
    """Whether this mutant is on."""
    SEEN[number] = 1
    return NOW.value == number


def use(number: int) -> None:
    """Switch one on, and all others off; 0 is none. Processes that are started from now on do the same."""
    NOW.value = number
    os.environ["MUTANT_ON"] = str(number)


def take_seen() -> set[int]:
    """Those that were asked for since the last call, here and in processes that have ended meanwhile."""
    seen = {number for number, byte in enumerate(bytes(SEEN)) if byte}
    ctypes.memset(SEEN, 0, len(SEEN))
    if "MUTANTS_SEEN" in os.environ:
        for path in Path(os.environ["MUTANTS_SEEN"]).glob("*.seen"):
            seen.update(number for number, byte in enumerate(path.read_bytes()) if byte)
            path.unlink()
    return seen


def _leave_seen() -> None:
    folder = Path(os.environ["MUTANTS_SEEN"])
    path = folder / f"{os.getpid()}.part"
    path.write_bytes(bytes(SEEN))
    path.rename(path.with_suffix(".seen"))


NOW.value = int(os.environ.get("MUTANT_ON", "0"))
if "MUTANTS_SEEN" in os.environ:
    atexit.register(_leave_seen)
