"""CIFAR-10: binary batches, Python batches, and either in the tar archive that they are published in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from minidl.data.files.bounded import Content, DataError
from minidl.data.files.cifar_pickle import read_batch
from minidl.data.files.published import CIFAR10
from minidl.data.files.search import locate, plain_or_gz
from minidl.data.mnist import Arrays, Dataset

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Names of CIFAR-10's labels 0 to 9."""

_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_ARCHIVES = ("cifar-10-binary.tar", "cifar-10-python.tar")
_RECORD = 1 + 3 * 32 * 32
_MAX_BATCH_BYTES = 2**26  # twice a published batch
_MAX_ARCHIVE_BYTES = 2**28  # the published archives unpack to 186 MB
_BLOCK = 512


def load_cifar10(path: str | os.PathLike[str] | None = None) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour pictures of 32 x 32 pixels in 10 classes (Krizhevsky 2009).

    path: the archive cifar-10-binary.tar.gz or cifar-10-python.tar.gz; or a folder with it, with the batches themselves
    (data_batch_1.bin, ..., test_batch.bin, or the Python batches of the same names without .bin, plain or gzipped), or
    with a subfolder cifar-10-batches-bin, cifar-10-batches-py, cifar10 or cifar-10 that has them.
    Without `path` the folder MINIDL_DATA (itself or such a subfolder) and the user's cache are searched; where neither
    has the files, the binary archive is downloaded (170 MB) into the first of them, unless MINIDL_OFFLINE is set.
    Batches load several times faster than the archive.
    Returns ((x_train, y_train), (x_test, y_test)): x uint8 (N, 3, 32, 32), channels red, green, blue; y int64 (N,).
    The labels' names are `CIFAR10_CLASSES`. Python batches are pickles: `cifar_pickle` reads them and executes nothing.
    Raises FileNotFoundError where the files are not to be had, DataError naming the file where one is damaged.
    """
    by_hand = f"{CIFAR10.name}, or its files {', '.join(f'{name}.bin' for name in _BATCHES)}"
    found = locate("CIFAR-10", ("cifar10", "cifar-10"), _batch_files, path, (CIFAR10,), by_hand)
    batches: dict[str, Arrays] = {}
    for name, arrays in _read_archive(found[0]) if len(found) == 1 else _read_files(found):
        if name in batches:
            raise DataError(f"{found[0]}: has {name} twice")
        batches[name] = arrays
    missing = [name for name in _BATCHES if name not in batches]
    if missing:
        raise DataError(f"{found[0]}: has no {', '.join(missing)}")
    return _join([batches.pop(name) for name in _BATCHES[:-1]]), _join([batches.pop(_BATCHES[-1])])


def _batch_files(place: Path) -> tuple[Path, ...] | None:
    """The six batches in a folder or its published subfolders, or the one archive; None where there is neither."""
    if place.is_file():
        return (place,)
    for suffix, subfolder in ((".bin", "cifar-10-batches-bin"), ("", "cifar-10-batches-py")):
        for folder in (place, place / subfolder):
            files = tuple(file for name in _BATCHES if (file := plain_or_gz(folder, name + suffix)) is not None)
            if len(files) == len(_BATCHES):
                return files
    archives = [file for name in _ARCHIVES if (file := plain_or_gz(place, name)) is not None]
    return (archives[0],) if archives else None


def _read_files(files: tuple[Path, ...]) -> Iterator[tuple[str, Arrays]]:
    for name, file in zip(_BATCHES, files, strict=True):
        with Content(file, _MAX_BATCH_BYTES) as content:
            raw = content.all_bytes()
        yield name, _decode(str(file), raw, binary=".bin" in file.suffixes)


def _read_archive(file: Path) -> Iterator[tuple[str, Arrays]]:
    for name, raw in _members(file):
        stem = name.removesuffix(".bin")
        yield stem, _decode(f"{file}: {name}", raw, binary=name != stem)


def _members(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and content of an archive's batches, whatever folder they are in; nothing is written to disk.

    Reads the ustar format (POSIX.1-1988) itself: tarfile would follow a hostile header into endless skips.
    """
    with Content(file, _MAX_ARCHIVE_BYTES) as content:
        while (header := content.exactly(_BLOCK).tobytes()) != bytes(_BLOCK):
            try:
                checksum, size = (int(field.strip(b" \0"), 8) for field in (header[148:156], header[124:136]))
            except ValueError:
                raise DataError(f"{file}: is not a tar archive") from None
            if checksum != sum(header) - sum(header[148:156]) + 8 * ord(" "):
                raise DataError(f"{file}: is not a tar archive, or its headers are damaged")
            name = PurePosixPath(header[:100].split(b"\0")[0].decode("utf-8", "replace")).name
            wanted = header[156:157] in (b"0", b"\0") and name.removesuffix(".bin") in _BATCHES
            limit = _MAX_BATCH_BYTES if wanted else _MAX_ARCHIVE_BYTES
            if not 0 <= size <= limit:
                raise DataError(f"{file}: {name} declares {size} bytes, above the limit of {limit}")
            raw = content.exactly(-(-size // _BLOCK) * _BLOCK)[:size]
            if wanted:
                yield name, raw
        while content.read(2**20):  # to the end, where the gzip checksum is verified
            pass


def _decode(who: str, raw: bytes | np.ndarray, binary: bool) -> Arrays:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64 of one batch."""
    if binary:
        if len(raw) == 0 or len(raw) % _RECORD:
            rule = f"must have a positive multiple of {_RECORD} (a label and 3 x 32 x 32 pixels)"
            raise DataError(f"{who}: has {len(raw)} bytes, {rule}")
        records = np.frombuffer(raw, np.uint8).reshape(-1, _RECORD)
        images, labels = records[:, 1:], records[:, 0].astype(np.int64)
    else:
        images, labels = read_batch(who, bytes(raw))
    if len(labels) == 0:
        raise DataError(f"{who}: must hold at least one image")
    if labels.min() < 0 or labels.max() > 9:
        raise DataError(f"{who}: holds labels from {labels.min()} to {labels.max()}, must hold 0 to 9")
    return images.reshape(-1, 3, 32, 32), labels


def _join(batches: list[Arrays]) -> Arrays:
    """One new array of the batches, which are given up one by one so that they are not all held twice."""
    images = np.empty((sum(len(labels) for _, labels in batches), 3, 32, 32), np.uint8)
    labels = np.concatenate([labels for _, labels in batches])
    begin = 0
    while batches:
        part = batches.pop(0)[0]
        images[begin : begin + len(part)] = part
        begin += len(part)
        del part
    return images, labels
