"""Data files for tests, written byte by byte: IDX, CIFAR's batches as Python 2 pickled them, tar archives."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import DataError

MNIST_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CIFAR_NAMES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


def outcome(read: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """(result, "") of a reader, or (None, message) where it raises DataError; anything else it raises comes through."""
    try:
        return read(*arguments), ""
    except DataError as error:
        return None, str(error)


def idx_bytes(values: np.ndarray, code: int = 0x08) -> bytes:
    """An array as IDX; `code` is the format's type byte."""
    header = bytes((0, 0, code, values.ndim)) + np.array(values.shape, ">u4").tobytes()
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


def digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random uint8 images (N, 28, 28) and labels (N,)."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count, np.uint8)


def write_mnist(
    folder: Path, gz: bool = False, train: int = 7, test: int = 3, seed: int = 0, names: Sequence[str] = MNIST_NAMES
) -> list[np.ndarray]:
    """Four small files in MNIST's format; returns their arrays in the order of `names`."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = [*digits(train, seed), *digits(test, seed + 1)]
    for name, values in zip(names, arrays, strict=True):
        raw = idx_bytes(values)
        (folder / (f"{name}.gz" if gz else name)).write_bytes(gzip.compress(raw) if gz else raw)
    return arrays


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random uint8 pictures (N, 3072) and labels (N,) of CIFAR-10."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), np.uint8), rng.integers(0, 10, count, np.uint8)


def binary_batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    """CIFAR's binary format: a label, or labels (N, 2), and 3,072 pixels a record."""
    return np.concatenate([labels.reshape(len(images), -1), images], axis=1).tobytes()


def short(text: bytes) -> bytes:
    """A byte string of less than 256 bytes as a pickle instruction of Python 2."""
    return b"U" + bytes((len(text),)) + text


def python_batch(
    images: np.ndarray, labels: np.ndarray, array: bytes | None = None, keys: Sequence[str] = ("labels",)
) -> bytes:
    """A batch as Python 2 wrote it, protocol 2; `array` replaces the instructions that make the array.

    labels: (N,), or (N, 2) for two `keys`.
    """
    raw = images.tobytes()
    if array is None:
        rows = int(images.shape[0]).to_bytes(4, "little")
        array = b"".join(
            (
                b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t",
                b"(K\x01J" + rows + b"M\x00\x0c\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b",
                b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
                b"T" + len(raw).to_bytes(4, "little") + raw + b"tb",
            )
        )
    lists = [
        short(key.encode()) + b"q\x04]q\x05(" + b"".join(b"K" + bytes((int(label),)) for label in column) + b"e"
        for key, column in zip(keys, np.atleast_2d(labels.T), strict=True)
    ]
    return b"".join(
        (
            b"\x80\x02}q\x01(" + short(b"batch_label") + b"q\x02" + short(b"training batch 1 of 5") + b"q\x03",
            *lists,
            short(b"data") + b"q\x06" + array,
            short(b"filenames") + b"q\x0c]q\x0d(" + short(b"a_picture.png") + b"q\x0eeu.",
        )
    )


def cifar_files(python: bool = False, each: int = 2) -> dict[str, bytes]:
    """Six small batches by file name; batch i has `each` random pictures of seed i."""
    parts = {}
    for seed, name in enumerate(CIFAR_NAMES):
        images, labels = pictures(each, seed)
        parts[name if python else f"{name}.bin"] = (python_batch if python else binary_batch)(images, labels)
    return parts


def tar_gz(members: dict[str, bytes]) -> bytes:
    """A gzipped tar archive of regular files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return stream.getvalue()


def hundred_batch(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random pictures (N, 3072) and labels (N, 2), coarse and fine, of CIFAR-100."""
    images, _ = pictures(count, seed)
    return images, np.random.default_rng(seed).integers(0, (20, 100), (count, 2), np.uint8)


def hundred_files(python: bool = False) -> dict[str, bytes]:
    """CIFAR-100's two files by name: three random pictures of seed 0 to train, two of seed 1 to test."""
    train, test = hundred_batch(3, 0), hundred_batch(2, 1)
    if python:
        keys = ("coarse_labels", "fine_labels")
        return {"train": python_batch(*train, keys=keys), "test": python_batch(*test, keys=keys)}
    return {"train.bin": binary_batch(*train), "test.bin": binary_batch(*test)}
