"""The batches of CIFAR-10 and CIFAR-100: binary, as Python pickles, and either in a tar archive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from minidl.data.files.bounded import Content, DataError
from minidl.data.files.cifar_pickle import read_batch
from minidl.data.files.search import plain_or_gz

_MAX_ARCHIVE_BYTES = 2**28  # the published archives unpack to 184 and 186 MB
_BLOCK = 512
_PIXELS = 3 * 32 * 32

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Batches:
    """How one data set is cut into files.

    title: its name for messages. train, test: the batches' names (binary ones have .bin behind it). folders: where the
    archives put binary and Python batches. archives: their names without .gz. labels: of each label of an image, in
    the order of the binary record, its name in a Python batch and how many classes it has. max_bytes: of one batch.
    """

    title: str
    train: tuple[str, ...]
    test: str
    folders: tuple[str, str]
    archives: tuple[str, ...]
    labels: tuple[tuple[str, int], ...]
    max_bytes: int

    @property
    def names(self) -> tuple[str, ...]:
        """All batches, the test batch last."""
        return (*self.train, self.test)

    def files(self, place: Path) -> tuple[Path, ...] | None:
        """The batches in a folder or its published subfolders, or the one archive; None where there is neither."""
        if place.is_file():
            return (place,)
        for suffix, subfolder in ((".bin", self.folders[0]), ("", self.folders[1])):
            for folder in (place, place / subfolder):
                files = [file for name in self.names if (file := plain_or_gz(folder, name + suffix)) is not None]
                if len(files) == len(self.names):
                    return tuple(files)
        archives = [file for name in self.archives if (file := plain_or_gz(place, name)) is not None]
        return (archives[0],) if archives else None

    def read(self, found: tuple[Path, ...], label: int = 0) -> tuple[Arrays, Arrays]:
        """((x_train, y_train), (x_test, y_test)) of what `files` found; y is the label with that index."""
        batches: dict[str, Arrays] = {}
        for name, arrays in self._archived(found[0], label) if len(found) == 1 else self._loose(found, label):
            if name in batches:
                raise DataError(f"{found[0]}: has {name} twice")
            batches[name] = arrays
        missing = [name for name in self.names if name not in batches]
        if missing:
            raise DataError(f"{found[0]}: has no {', '.join(missing)}")
        return _join([batches.pop(name) for name in self.train]), _join([batches.pop(self.test)])

    def _loose(self, files: tuple[Path, ...], label: int) -> Iterator[tuple[str, Arrays]]:
        for name, file in zip(self.names, files, strict=True):
            with Content(file, self.max_bytes) as content:
                raw = content.all_bytes()
            yield name, self._decode(str(file), raw, ".bin" in file.suffixes, label)

    def _archived(self, file: Path, label: int) -> Iterator[tuple[str, Arrays]]:
        for name, raw in self._members(file):
            stem = name.removesuffix(".bin")
            yield stem, self._decode(f"{file}: {name}", raw, name != stem, label)

    def _members(self, file: Path) -> Iterator[tuple[str, np.ndarray]]:
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
                wanted = header[156:157] in (b"0", b"\0") and name.removesuffix(".bin") in self.names
                limit = self.max_bytes if wanted else _MAX_ARCHIVE_BYTES
                if not 0 <= size <= limit:
                    raise DataError(f"{file}: {name} declares {size} bytes, above the limit of {limit}")
                raw = content.exactly(-(-size // _BLOCK) * _BLOCK)[:size]
                if wanted:
                    yield name, raw
            while content.read(2**20):  # to the end, where the gzip checksum is verified
                pass

    def _decode(self, who: str, raw: bytes | np.ndarray, binary: bool, label: int) -> Arrays:
        """Images (N, 3, 32, 32) uint8 and labels (N,) int64 of one batch; all its labels are checked."""
        if binary:
            record = len(self.labels) + _PIXELS
            if len(raw) == 0 or len(raw) % record:
                parts = f"{'a label' if len(self.labels) == 1 else f'{len(self.labels)} labels'} and 3 x 32 x 32 pixels"
                raise DataError(f"{who}: has {len(raw)} bytes, must have a positive multiple of {record} ({parts})")
            records = np.frombuffer(raw, np.uint8).reshape(-1, record)
            images = records[:, len(self.labels) :]
            columns = list(records[:, : len(self.labels)].T.astype(np.int64))
        else:
            images, *columns = read_batch(who, bytes(raw), tuple(name for name, _ in self.labels), self.title)
        if len(images) == 0:
            raise DataError(f"{who}: must hold at least one image")
        for column, (name, classes) in zip(columns, self.labels, strict=True):
            if column.min() < 0 or column.max() >= classes:
                rule = f"must hold 0 to {classes - 1}"
                raise DataError(f"{who}: holds {name} from {column.min()} to {column.max()}, {rule}")
        return images.reshape(-1, 3, 32, 32), columns[label]


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
