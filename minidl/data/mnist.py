"""MNIST, Fashion-MNIST and KMNIST: four IDX files each, under the same names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from minidl.data.files.bounded import DataError
from minidl.data.files.idx import read_idx
from minidl.data.files.published import FASHION_MNIST, KMNIST, MNIST
from minidl.data.files.search import locate, plain_or_gz

Arrays = tuple[np.ndarray, np.ndarray]
Dataset = tuple[Arrays, Arrays]

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""Names of Fashion-MNIST's labels 0 to 9."""

KMNIST_CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
"""Names of KMNIST's labels 0 to 9: the syllables that the ten hiragana stand for."""

_NAMES = tuple(source.name.removesuffix(".gz") for source in MNIST)
_BY_HAND = f"{', '.join(_NAMES)} (each plain or .gz)"


def load_mnist(path: str | os.PathLike[str] | None = None) -> Dataset:
    """MNIST: 60,000 + 10,000 handwritten digits of 28 x 28 pixels (LeCun, Cortes and Burges; CC BY-SA 3.0).

    path: folder with the four original files, plain or gzipped, or with a subfolder mnist, MNIST/raw or MNIST that has
    them. Without `path` the folder MINIDL_DATA (itself or such a subfolder) and the user's cache are searched; where
    neither has the files, they are downloaded (11.6 MB) into the first of them, unless MINIDL_OFFLINE is set.
    Returns ((x_train, y_train), (x_test, y_test)): x uint8 (N, 1, 28, 28), 0 is background and 255 ink; y int64 (N,).
    Raises FileNotFoundError where the files are not to be had, DataError naming the file where one is damaged.
    """
    found = locate("MNIST", ("mnist", "MNIST/raw", "MNIST"), _four_files, path, MNIST, _BY_HAND)
    return read_mnist_files(found)


def load_fashion_mnist(path: str | os.PathLike[str] | None = None) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 pictures of clothes, 28 x 28 (Xiao, Rasul and Vollgraf 2017; MIT licence).

    As `load_mnist`, with the subfolders fashion-mnist, FashionMNIST/raw and fashion. The files bear the names of
    MNIST's: files in MINIDL_DATA itself are taken to be MNIST's, and MNIST's own content is refused. The download has
    30.9 MB. The labels' names are `FASHION_MNIST_CLASSES`.
    """
    subfolders = ("fashion-mnist", "FashionMNIST/raw", "fashion")
    found = locate("Fashion-MNIST", subfolders, _four_files, path, FASHION_MNIST, _BY_HAND, in_root=False)
    return _but_not_mnist("Fashion-MNIST", found)


def load_kmnist(path: str | os.PathLike[str] | None = None) -> Dataset:
    """KMNIST: 60,000 + 10,000 cursive Japanese characters, 28 x 28, in 10 classes (Clanuwat et al. 2018; CC BY-SA 4.0).

    As `load_fashion_mnist`, with the subfolders kmnist, KMNIST/raw and KMNIST. The download has 21.2 MB. The labels'
    names are `KMNIST_CLASSES`.
    """
    found = locate("KMNIST", ("kmnist", "KMNIST/raw", "KMNIST"), _four_files, path, KMNIST, _BY_HAND, in_root=False)
    return _but_not_mnist("KMNIST", found)


def read_mnist_files(
    files: Sequence[Path], labels: range = range(10), read: Callable[[Path], np.ndarray] = read_idx
) -> Dataset:
    """Read train images, train labels, test images, test labels, in this order; checks shapes, counts and labels.

    labels: those that the files may hold; the first becomes 0. read: the array in a file.
    """
    return _read_pair(files[0], files[1], labels, read), _read_pair(files[2], files[3], labels, read)


def _four_files(folder: Path) -> tuple[Path, ...] | None:
    files = tuple(file for name in _NAMES if (file := plain_or_gz(folder, name)) is not None)
    return files if len(files) == len(_NAMES) else None


def _but_not_mnist(title: str, files: tuple[Path, ...]) -> Dataset:
    dataset = read_mnist_files(files)
    (_, y_train), _ = dataset
    header = b"\0\0\x08\x01" + len(y_train).to_bytes(4, "big")
    if hashlib.sha256(header + y_train.astype(np.uint8).tobytes()).hexdigest() == MNIST[1].content_sha256:
        raise DataError(f"{files[1]}: is a file of MNIST, not of {title}")
    return dataset


def _read_pair(image_file: Path, label_file: Path, allowed: range, read: Callable[[Path], np.ndarray]) -> Arrays:
    images, labels = read(image_file), read(label_file)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28) or len(images) == 0:
        rule = "must hold uint8 (N, 28, 28) with at least one image"
        raise DataError(f"{image_file}: holds {images.dtype} {images.shape}, {rule}")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        rule = f"must hold uint8 {images.shape[:1]}, one label an image"
        raise DataError(f"{label_file}: holds {labels.dtype} {labels.shape}, {rule}")
    for label in (labels.min(), labels.max()):
        if label not in allowed:
            raise DataError(f"{label_file}: holds the label {label}, must hold {allowed[0]} to {allowed[-1]}")
    return images[:, np.newaxis], labels.astype(np.int64) - allowed[0]
