"""Files that are either the old one or the new one, whenever the writer dies.

The new content goes to a temporary file beside the target, to the disk, and by one rename to the target's name. A
writer holds a lock on its temporary file; the system drops the lock with the process. So a temporary file without a
lock is what a killed writer left, and the next writer of the same target removes it.
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: there an open file cannot be removed, which protects a living writer as well
    fcntl = None  # type: ignore[assignment]

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
HEAD, TAIL = ".", ".part"
"""A temporary file of "run" is called ".run.<8 hexadecimal digits>.part"."""


def replace(path: str | os.PathLike[str], parts: Sequence[Any]) -> None:
    """Make the bytes of `parts`, one after the other, the content of `path`.

    path: a file or a link to one, which stays a link; "~" is the home folder. A new file gets the permissions of the
    umask, a replaced one keeps its own. parts: bytes, or contiguous arrays. Raises OSError that names the path if
    anything fails, a full disk for instance; then an older file is as it was and no temporary file is left. Where only
    the last step fails, which puts the folder to the disk, the new file is there, and the error says so.
    """
    target = _target(path)
    try:
        _remove_leftovers(target)
        descriptor, temporary = _create(target)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
                # Inside the block: the lock must last until the file has its name.
                if fcntl is not None:
                    os.replace(temporary, target)
            if fcntl is None:  # Windows renames closed files only
                os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        text = f"{error.strerror or error} (writing a new file; what was there before is as it was)"
        raise OSError(error.errno or 0, text, os.fspath(path)) from error
    if os.name == "posix":  # the rename itself is on the disk once the folder is
        try:
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            text = f"{error.strerror or error} (the new file is there, but a power cut may bring back what was before)"
            raise OSError(error.errno or 0, text, os.fspath(path)) from error


def check_folder(who: str, path: str | os.PathLike[str]) -> None:
    """Raise FileNotFoundError that names `who` and the path if the folder of a file to be written does not exist."""
    folder = _target(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{who}: the folder of {os.fspath(path)!r} must exist, got {os.fspath(folder)!r}")


def _target(path: str | os.PathLike[str]) -> Path:
    """The file that a path stands for, "~" and links resolved."""
    return Path(os.path.realpath(os.path.expanduser(path)))


def _create(target: Path) -> tuple[int, Path]:
    """A new temporary file for `target`, open and locked -> descriptor, path."""
    while True:
        temporary = target.with_name(f"{HEAD}{target.name}.{os.urandom(4).hex()}{TAIL}")
        # os.open, not tempfile: the file gets the permissions that the user's umask asks for, from the first byte on.
        descriptor = os.open(temporary, FLAGS, 0o666)
        if hasattr(os, "fchmod"):
            with contextlib.suppress(OSError):  # no older file, or a file system without modes
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode) & 0o777)
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if temporary.exists():
            return descriptor, temporary
        os.close(descriptor)  # another writer came between creation and lock, and took it for a leftover


def _remove_leftovers(target: Path) -> None:
    """Remove temporary files of writers that are dead; those of living ones are locked, or open on Windows."""
    pattern = f"{HEAD}{glob.escape(target.name)}.{'[0-9a-f]' * 8}{TAIL}"
    for leftover in target.parent.glob(pattern):
        with contextlib.suppress(OSError):
            if fcntl is None:
                leftover.unlink()
                continue
            descriptor = os.open(leftover, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
            finally:
                os.close(descriptor)
