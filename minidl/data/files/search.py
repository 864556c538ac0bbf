"""Where data files lie: `path`, else the folder MINIDL_DATA and the user's cache; what neither has is downloaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from minidl.data.files.bounded import as_path
from minidl.data.files.published import Source

Found = TypeVar("Found")


def cache_folder() -> Path:
    """The folder for minidl in the user's cache.

    $XDG_CACHE_HOME/minidl or ~/.cache/minidl; on macOS ~/Library/Caches/minidl; on Windows %LOCALAPPDATA%/minidl/Cache.
    Raises FileNotFoundError where the system knows no home folder.
    """
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "minidl" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "minidl"
        xdg = os.environ.get("XDG_CACHE_HOME", "")
        return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "minidl"
    except RuntimeError as error:
        raise FileNotFoundError(
            "no home folder is known for data files; set MINIDL_DATA to a folder for them"
        ) from error


def offline() -> bool:
    """Whether MINIDL_OFFLINE forbids downloads: set, and neither empty nor 0."""
    return os.environ.get("MINIDL_OFFLINE", "") not in ("", "0")


_remedy: ContextVar[str | None] = ContextVar("_remedy", default=None)


@contextmanager
def no_download(remedy: str) -> Iterator[None]:
    """Let `locate` download nothing inside the block; remedy: what a user can do there but placing the files."""
    token = _remedy.set(remedy)
    try:
        yield
    finally:
        _remedy.reset(token)


def plain_or_gz(folder: Path, name: str) -> Path | None:
    """The file `name` or `name`.gz in a folder, or None; an IDX file may have a dot before its type.

    The files of MNIST are handed around under both names: train-images-idx3-ubyte and train-images.idx3-ubyte.
    """
    for spelt in dict.fromkeys((name, name.replace("-idx", ".idx"))):
        for file in (folder / spelt, folder / f"{spelt}.gz"):
            if file.is_file():
                return file
    return None


def locate(
    title: str,
    subfolders: tuple[str, ...],
    holds: Callable[[Path], Found | None],
    path: str | os.PathLike[str] | None,
    sources: tuple[Source, ...],
    by_hand: str,
    in_root: bool = True,
) -> Found:
    """What `holds` finds in the first place that has the data set, after a download where nothing has it.

    title: the data set's name for messages. subfolders: names under a data folder, the first being where downloads go.
    holds: what a folder (or the file `path`) has of the data set, None where that is not complete. sources: files to
    download. by_hand: which files to place, for the message. in_root: whether MINIDL_DATA itself may hold the files.
    A given `path` is the only place looked at. Raises FileNotFoundError saying in one line where was looked, what was
    tried and how to place the files; OSError where the download has nowhere to go.
    """
    if path is not None:
        root = as_path(title, path)
        places = [root, *(root / name for name in subfolders)]
    else:
        named = os.environ.get("MINIDL_DATA")
        roots = [Path(os.path.expanduser(named))] if named else []
        roots.append(cache_folder())
        places = [root / name for root in roots for name in subfolders]
        if named and in_root:
            places.insert(len(subfolders), roots[0])
    for place in places:
        found = holds(place)
        if found is not None:
            return found
    if path is not None:
        raise FileNotFoundError(f"{title}: {Path(path)} must hold {by_hand}, there or in {' or '.join(subfolders)}")

    target = places[0]
    looked = f"{' or '.join(map(str, roots))} (subfolders {', '.join(subfolders)})"
    remedy = _remedy.get()
    if remedy is not None:
        raise FileNotFoundError(f"{title}: not found in {looked}. Put {by_hand} into {target}, or {remedy}")
    if offline():
        tried = "MINIDL_OFFLINE forbids a download"
    else:
        from minidl.data.files import download

        try:
            for source in sources:
                if plain_or_gz(target, source.name.removesuffix(".gz")) is None:
                    download.fetch(source, target)
        except download.DownloadError as error:
            tried = f"the download failed ({error})"
        else:
            found = holds(target)
            assert found is not None
            return found
    by_path = f"To place it by hand put {by_hand} into {target}, or pass their folder as path"
    raise FileNotFoundError(f"{title}: not found in {looked}; {tried}. {by_path}")
