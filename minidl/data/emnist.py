"""EMNIST: handwritten digits and letters, four IDX files for each of its six splits."""

from __future__ import annotations

import os
import string
from pathlib import Path

import numpy as np

from minidl.data.files.idx import read_idx
from minidl.data.files.published import EMNIST
from minidl.data.files.search import locate, plain_or_gz
from minidl.data.mnist import Dataset, read_mnist_files

_MERGED = (*string.digits, *string.ascii_uppercase, *"abdefghnqrt")
EMNIST_CLASSES = {
    "balanced": _MERGED,
    "byclass": (*string.digits, *string.ascii_uppercase, *string.ascii_lowercase),
    "bymerge": _MERGED,
    "digits": tuple(string.digits),
    "letters": tuple(string.ascii_uppercase),
    "mnist": tuple(string.digits),
}
"""Names of EMNIST's labels by split; where a split merges both cases of a letter, the capital stands for both."""

_ZIPS = ("gzip.zip", "emnist.zip")


def load_emnist(path: str | os.PathLike[str] | None = None, split: str = "balanced") -> Dataset:
    """EMNIST: handwritten digits and letters of 28 x 28 pixels (Cohen, Afshar, Tapson and van Schaik 2017).

    split: one of
        "balanced"   112,800 + 18,800 images, 47 classes: digits and letters, 15 of which have both cases in one class
        "byclass"    697,932 + 116,323, 62 classes: digits, capitals, small letters, as often as people wrote them
        "bymerge"    the same images in the 47 classes of "balanced"
        "letters"    124,800 + 20,800, 26 classes: both cases of a letter in one class
        "digits"     240,000 + 40,000, 10 classes
        "mnist"      60,000 + 10,000, 10 classes
    The labels' names are `EMNIST_CLASSES[split]`.
    path: the published archive gzip.zip; or a folder with it or with the split's four files
    (emnist-balanced-train-images-idx3-ubyte, ..., plain or gzipped); or one with a subfolder emnist, EMNIST/raw or
    EMNIST, and in it perhaps gzip, that has them. Without `path` as `load_mnist`; the download has 562 MB, all splits.
    Returns ((x_train, y_train), (x_test, y_test)) as `load_mnist` does: x uint8 (N, 1, 28, 28), y int64 (N,).
    The files hold images with rows and columns exchanged, and "letters" its labels from 1: here images are upright and
    labels start at 0. Raises as `load_mnist`; ValueError for another split.
    """
    if not isinstance(split, str) or split not in EMNIST_CLASSES:
        raise ValueError(f"load_emnist: split must be one of {', '.join(EMNIST_CLASSES)}, got {split!r}")
    names = [f"emnist-{split}-{part}" for part in ("train-images-idx3", "train-labels-idx1")]
    names = [f"{name}-ubyte" for name in names + [name.replace("train", "test") for name in names]]

    def files(place: Path) -> tuple[Path, ...] | None:
        """The four files of the split in a folder, or the archive."""
        if place.is_file():
            return (place,)
        for folder in (place, place / "gzip"):
            found = tuple(file for name in names if (file := plain_or_gz(folder, name)) is not None)
            if len(found) == len(names):
                return found
        return next(((place / name,) for name in _ZIPS if (place / name).is_file()), None)

    by_hand = f"{EMNIST.name}, or {', '.join(names)} (each plain or .gz)"
    found = locate("EMNIST", ("emnist", "EMNIST/raw", "EMNIST"), files, path, (EMNIST,), by_hand)
    first = 1 if split == "letters" else 0
    labels = range(first, first + len(EMNIST_CLASSES[split]))
    if len(found) == 1:
        from minidl.data.files.zipped import read_zipped_idx

        dataset = read_mnist_files([found[0] / name for name in names], labels, read_zipped_idx)
    else:
        dataset = read_mnist_files(found, labels, read_idx)
    for images, _ in dataset:
        _turn_upright(images)
    return dataset


def _turn_upright(images: np.ndarray) -> None:
    """Exchange rows and columns of all images in place, a part at a time: half a gigabyte is not held twice."""
    for begin in range(0, len(images), 4096):
        part = images[begin : begin + 4096]
        part[:] = part.swapaxes(2, 3).copy()
