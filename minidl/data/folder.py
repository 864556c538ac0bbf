"""A folder of images, one sub-folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidl.data.files.bounded import DataError, as_path
from minidl.data.picture import SUFFIXES, check_flag, check_size, decode

_FOREIGN = frozenset((".avif", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".svg"))
"""Images that cannot be read: leaving them out without a word would change the data set."""

_PARTS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "eval"))


class Folder(NamedTuple):
    """Images of a folder: x uint8 (N, C, H, W), y int64 (N,), and names, whose item y[i] is the class of image i."""

    x: np.ndarray
    y: np.ndarray
    names: list[str]


def load_folder(
    path: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    grayscale: bool = False,
    names: Sequence[str] | None = None,
) -> Folder:
    """All images of a folder that has a sub-folder for each class -> (x, y, names), a named tuple.

    path: the folder. Which files count and their order: `list_folder`. size, grayscale: as `read_image`; without `size`
    all images must be of one size. names: as `list_folder`; pass the training folder's to load a test folder.
    x has three channels, or one with `grayscale`, and lies in memory as a whole.
    Raises what `list_folder` and `read_image` raise; DataError naming two files where sizes differ.
    """
    wanted = check_size("load_folder", size)
    check_flag("load_folder", "grayscale", grayscale)
    files, y, classes = _listed("load_folder", path, names)
    first = decode(files[0], wanted, grayscale)
    x = np.empty((len(files), *first.shape), np.uint8)
    for i, file in enumerate(files):
        image = first if i == 0 else decode(file, wanted, grayscale)
        if image.shape != first.shape:
            sizes = f"is of {image.shape[1]} x {image.shape[2]} pixels (h x w), {files[0]} of {first.shape[1]} x"
            raise DataError(f"{file}: {sizes} {first.shape[2]}; pass size=(h, w) to resize all")
        x[i] = image
    return Folder(x, y, classes)


def list_folder(
    path: str | os.PathLike[str], names: Sequence[str] | None = None
) -> tuple[list[Path], np.ndarray, list[str]]:
    """The image files of a folder that has a sub-folder for each class -> (files, y, names), in `load_folder`'s order.

    names: class names in the order of the labels, of which a folder may lack some; without them the sub-folders' names,
    sorted (so that "10" comes before "2"). A class's images lie anywhere below its folder, sorted by their paths.
    An image is what ends in `picture.SUFFIXES`. Other files, and those whose names begin with a dot, are left out, as
    are files beside the class folders. y: int64 (N,), the index into names for each file.
    Raises FileNotFoundError or NotADirectoryError where there is no folder; DataError for one without classes, for a
    class without images or not in `names`, for train and test folders in place of classes, for images in formats that
    cannot be read (HEIC, AVIF, ...), for what is no regular file, and for links to folders or out of `path`.
    """
    return _listed("list_folder", path, names)


def _listed(
    who: str, path: str | os.PathLike[str], names: Sequence[str] | None
) -> tuple[list[Path], np.ndarray, list[str]]:
    root = as_path(who, path)
    if not root.is_dir():
        kind = NotADirectoryError if root.exists() else FileNotFoundError
        raise kind(f"{who}: {os.fspath(path)!r} must be a folder with a sub-folder for each class")
    home = root.resolve()
    folders = {entry.name: Path(entry.path) for entry in _visible(root, home) if entry.is_dir()}
    if not folders:
        raise DataError(f"{root}: has no sub-folders, must have one for each class with its images")
    classes = sorted(folders) if names is None else _checked(who, names)
    foreign = sorted(folders.keys() - set(classes))
    if foreign:
        raise DataError(f"{folders[foreign[0]]}: is a class that names lacks; names has {', '.join(classes)}")
    images = {name: _images(folders[name], home) for name in classes if name in folders}
    if {name.lower() for name in folders} <= _PARTS and not any(
        file.parent == folders[name] for name, files in images.items() for file in files
    ):
        parts = ", ".join(sorted(folders))
        raise DataError(f"{root}: has {parts}, which are no classes; load each by its own call")
    for name, files in images.items():
        if not files:
            raise DataError(f"{folders[name]}: has no images, must have at least one ({', '.join(SUFFIXES)})")
    labels = [np.full(len(images.get(name, ())), label, np.int64) for label, name in enumerate(classes)]
    return [file for name in classes for file in images.get(name, ())], np.concatenate(labels), classes


def _checked(who: str, names: Sequence[str]) -> list[str]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{who}: names must be a list of class names, got {names!r}")
    if len(set(names)) != len(names) or len(names) == 0:
        raise ValueError(f"{who}: names must be distinct and at least one, got {list(names)!r}")
    return list(names)


def _visible(folder: Path, home: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, without hidden things; DataError for links to folders and for links out of `home`."""
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".") and entry.name != "__MACOSX"]
    for entry in found:
        if entry.is_symlink():
            try:
                leads_to_folder = entry.is_dir()
            except OSError as error:  # a circle of links, or a target with a name that is too long
                raise DataError(f"{entry.path}: is a link that cannot be followed ({error.strerror})") from None
            if leads_to_folder:
                raise DataError(f"{entry.path}: must not be a link to a folder")
            if not Path(os.path.realpath(entry.path)).is_relative_to(home):
                raise DataError(f"{entry.path}: must not be a link out of {home}")
    return found


def _images(folder: Path, home: Path) -> list[Path]:
    """The images below a folder, sorted by path."""
    files, folders = [], [folder]
    while folders:
        for entry in _visible(folders.pop(), home):
            suffix = os.path.splitext(entry.name)[1].lower()
            if entry.is_dir():
                folders.append(Path(entry.path))
            elif suffix in _FOREIGN:
                raise DataError(
                    f"{entry.path}: {suffix} images cannot be read; convert it to PNG or JPEG, or remove it"
                )
            elif suffix in SUFFIXES:
                files.append(Path(entry.path))
    return sorted(files)
