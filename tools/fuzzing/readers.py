"""Targets: all that reads data sets, images, weights, networks, checkpoints, histories and downloads."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import shutil
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import minidl
from fuzzing.changes import change_bytes, change_image, change_packed, change_safetensors, change_tar
from fuzzing.target import Target
from minidl import data, safetensors
from minidl.data import picture
from minidl.data.files import download
from minidl.data.files.idx import read_idx
from minidl.data.files.published import Source
from minidl.data.files.zipped import read_zipped_idx
from minidl.support import random as generators
from minidl.training.history import KEYS

sys.path.append(str(Path(__file__).parents[2] / "tests"))
import data_files

DAMAGED = (data.DataError,)
PICKLES = (b"}", b"]", b")", b"(", b"R", b"b", b"e", b"u", b"s", b"a", b"t", b"\x85", b"\x86", b"q\x01", b"h\x01")
PICKLES += (b"cbuiltins\neval\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"K\x00", b"M\x00\x0c", b"\x8a\x01\x05")
NETWORK = (
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 Found\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n\r\n", b"<html>"),
    *(b"Content-Length: 99\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"f" * 16 + b"\r\n"),
    *(b"Location: http://127.0.0.1/a\r\n", b"Location: //\r\n", b"Location: file:///a\r\n", b"Location: http://[\r\n"),
)
LINES = b"f a/x.png", b"d a/b", b"l a/x.png ../a", b"l a b", b"p a/x.png", b"f train/x.heic", b"d .a", b"l b/x.png /"


def targets(folder: Path) -> dict[str, Target]:
    """All, by name; `folder` is theirs."""
    found = [*_data_sets(folder), *_images(folder), *_networks(folder), _history(), _download(folder)]
    return {target.name: target for target in found}


def _of_file(path: Path, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """A reader of bytes, which writes them to the path first."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def reader(content: bytes) -> Any:
        path.write_bytes(content)
        return read(path)

    return reader


# ---- data sets -------------------------------------------------------------------------------------------------------


def _data_sets(folder: Path) -> Iterator[Target]:
    place = folder / "sets"
    packed = partial(_and_packed, [data_files.idx_bytes(np.arange(12, dtype=t).reshape(3, 4), c) for t, c in IDX])
    yield Target("idx", packed, _of_file(place / "idx", read_idx), DAMAGED, "idx", change_packed)
    of_zip = _of_file(place / "set.zip", lambda path: read_zipped_idx(path / "digits-ubyte"))
    yield Target("zip", _archives, of_zip, DAMAGED, "set.zip")
    ten, hundred = (data.load_cifar10, data_files.cifar_files), (data.load_cifar100, data_files.hundred_files)
    for title, (load, made), python in (("10", ten, False), ("10", ten, True), ("100", hundred, True)):
        batches = made(python)
        name = f"cifar{title}-{'python' if python else 'binary'}"
        for batch, content in batches.items():
            _of_file(place / name / batch, Path)(content)
        first = next(iter(batches))
        read = _of_file(place / name / first, lambda path, load=load: load(path.parent))
        words = PICKLES if python else ()
        change = partial(change_bytes, words=words)
        yield Target(name, partial(_and_packed, list(batches.values())), read, DAMAGED, first, change)
    members = [
        {f"a/{name}": raw for name, raw in data_files.cifar_files(python, 1).items()} for python in (False, True)
    ]
    tars = [*map(data_files.tar_gz, members)]
    tars += map(gzip.decompress, tars[:2])
    of_tar = _of_file(place / "set.tar", data.load_cifar10)
    yield Target("cifar-tar", lambda: tars, of_tar, DAMAGED, "set.tar", change_tar, 2**16)


IDX = ((np.uint8, 8), (np.int16, 11), (np.float32, 13), (np.float64, 14))


def _and_packed(contents: list[bytes]) -> list[bytes]:
    return [*contents, *(gzip.compress(content, mtime=0) for content in contents)]


def _archives() -> Iterator[bytes]:
    for inside in _and_packed([data_files.idx_bytes(np.arange(12, dtype=np.uint8))]):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", method) as archive:
                archive.writestr("set/digits-ubyte" + (".gz" if inside[:2] == b"\x1f\x8b" else ""), inside)
                archive.writestr("set/others", b"x" * 50)
            yield stream.getvalue()


# ---- images ----------------------------------------------------------------------------------------------------------


MODES = {
    **{"PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"), "JPEG": ("RGB", "L", "CMYK"), "GIF": ("P",)},
    **{"BMP": ("RGB", "L", "P", "1"), "WEBP": ("RGB", "RGBA"), "PPM": ("RGB", "L", "1")},
    **{"TIFF": ("RGB", "L", "P", "1", "CMYK", "I", "F")},
}
"""Formats, and the pixels that seeds have in them."""


def _images(folder: Path) -> Iterator[Target]:
    from PIL import Image

    place = folder / "images"
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)

    def seeds() -> Iterator[bytes]:
        exif = Image.Exif()
        exif[0x0112] = 6
        for kind, modes in MODES.items():
            for mode in modes:
                stream = io.BytesIO()
                told = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}
                Image.fromarray(pixels).convert(mode).save(stream, kind, **told)
                yield stream.getvalue()

    _of_file(place / "a" / "x.png", Path)(next(seeds()))
    read = _of_file(place / "b" / "y.png", lambda path: data.load_folder(path.parents[1], 8))
    # A file of few bytes may have MAX_PIXELS: one byte each, another upright, and Pillow's four of colours.
    growth = 2**28 + (1 + 1 + 4) * picture.MAX_PIXELS
    yield Target("image", seeds, read, DAMAGED, "y.png", change_image, growth=growth)
    words = tuple(line + b"\n" for line in LINES)
    change = partial(change_bytes, words=words)
    refusals = data.DataError, FileNotFoundError, NotADirectoryError
    yield Target("folder", lambda: words, partial(_tree, folder / "tree"), refusals, "tree", change, 512)


def _tree(place: Path, content: bytes) -> None:
    """List the folder that the lines describe: "f file", "d folder", "l link target", "p pipe"."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for line in content.split(b"\n"):
        kind, _, rest = line.partition(b" ")
        name, _, to = rest.partition(b" ")
        path = os.path.normpath(os.path.join(os.fsencode(place), name.strip(b"/")))
        if b"\0" in rest or not path.startswith(os.fsencode(place) + b"/"):
            continue
        try:
            os.makedirs(path if kind == b"d" else os.path.dirname(path), exist_ok=True)
            if kind == b"f":
                with open(path, "xb"):
                    pass
            elif kind == b"l":
                os.symlink(to, path)
            elif kind == b"p":
                os.mkfifo(path)
        except OSError:  # a name that is too long, or taken
            continue
    files, labels, names = data.list_folder(place)
    assert len(files) == len(labels) > 0
    assert all(file.is_relative_to(place / names[label]) for file, label in zip(files, labels, strict=True))
    assert all(file.resolve().is_relative_to(place.resolve()) for file in files)


# ---- networks and trainings ------------------------------------------------------------------------------------------


def _network() -> minidl.Model:
    residual = minidl.Residual(minidl.Sequential(minidl.Conv2D(3, 3, 1, bias=False, rng=0), minidl.BatchNorm2D(3)))
    return minidl.Model(
        *(minidl.Conv2D(1, 3, 3, padding=1, rng=1), minidl.BatchNorm2D(3), minidl.Relu(), residual),
        minidl.MaxPool2D(2),
        *(minidl.Flatten(), minidl.Dropout(0.5, rng=2), minidl.Linear(12, 2, rng=3)),
    )


def _trainer() -> minidl.Trainer:
    optimizer = minidl.SGD(minidl.Cosine(0.1), 0.9)
    return minidl.Trainer(_network(), minidl.SoftmaxCrossEntropyLoss(), optimizer, minidl.WeightAverage(0.9))


def _fit(trainer: minidl.Trainer, epochs: int, resume: bool | Path = False) -> None:
    x = np.random.default_rng(0).integers(0, 256, (6, 1, 4, 4), np.uint8)
    labels = np.arange(6) % 2
    best = minidl.KeepBest()
    with redirect_stderr(io.StringIO()):
        trainer.fit((x, labels), (x, labels), epochs, 4, seed=1, verbose=False, resume=resume, callbacks=[best])


def _bits(trainer: minidl.Trainer) -> str:
    """A digest of all that a checkpoint may change."""
    stream = io.BytesIO()
    average = trainer.average.state() if trainer.average is not None else {}
    parts = trainer.model.state(), trainer.optimizer.state(), average, trainer.history.state()
    arrays = {f"{i}.{name}": array for i, part in enumerate(parts) for name, array in part.items()}
    safetensors.save(stream, arrays, trainer.model.metadata())
    known = [trainer.optimizer.lr, generators.state(generators.generator())]
    return hashlib.sha256(stream.getvalue() + repr(known).encode()).hexdigest()


def _networks(folder: Path) -> Iterator[Target]:
    place = folder / "networks"
    place.mkdir(parents=True)
    first, begun = place / "first", place / "begun"
    trainer = _trainer()
    trainer.save(first)
    _fit(trainer, 1)
    trainer.save(begun)
    trainer.model.save(place / "weights")
    seeds = [(place / name).read_bytes() for name in ("begun", "first", "weights")]
    victim = _trainer()
    before = _bits(victim.load(begun))

    def resume(path: Path) -> None:
        try:
            victim.load(path)
        except BaseException:
            assert _bits(victim) == before, "a refused checkpoint has changed the training"
            raise
        try:
            _fit(victim, 2, path)
        finally:
            victim.load(begun)
            assert _bits(victim) == before, "the training does not come back"

    bad = ValueError, TypeError
    read = _of_file(place / "checkpoint", resume)
    # The steps that follow may find that numbers of the file are not finite.
    yield Target("checkpoint", lambda: seeds, read, (*bad, FloatingPointError), "", change_safetensors, 2**16)
    model = _network()
    digest = _digest(model)

    def take(path: Path) -> None:
        try:
            model.load(path)
        except BaseException:
            assert _digest(model) == digest, "a refused file has changed the model"
            raise
        model.load(place / "weights")
        model.load_state(start)

    start = {name: array.copy() for name, array in model.state().items()}
    model.load(place / "weights")
    model.load_state(start)
    digest = _digest(model)
    yield Target("weights", lambda: seeds, _of_file(place / "given", take), bad, "", change_safetensors, 2**16)
    built = _of_file(place / "network", lambda path: _used(minidl.load_model(path)))
    yield Target("architecture", lambda: seeds, built, (ValueError,), "network", change_safetensors, 2**16)
    plain = _of_file(place / "tensors", _loaded)
    yield Target("safetensors", lambda: seeds, plain, (ValueError,), "tensors", change_safetensors, 2**16)


def _digest(model: minidl.Model) -> str:
    stream = io.BytesIO()
    model.save(stream)
    return hashlib.sha256(stream.getvalue()).hexdigest()


def _used(model: minidl.Model) -> None:
    """A network out of a file is told, shown, and saved again."""
    repr(model)
    model.save(io.BytesIO())


def _loaded(path: Path) -> None:
    """What was read can be written, and is then the same."""
    tensors, metadata = safetensors.load(path)
    stream = io.BytesIO()
    safetensors.save(stream, tensors, metadata)
    again, said = safetensors.load(io.BytesIO(stream.getvalue()))
    assert said == metadata
    assert set(again) == set(tensors)
    for name, array in tensors.items():
        assert again[name].dtype == array.dtype
        assert again[name].tobytes() == array.tobytes()


def _history() -> Target:
    history = minidl.History()
    for i in range(3):
        history.append(**dict.fromkeys(KEYS, i), val_x=i)
    history.step_loss = [1.0, 2.0]
    stream = io.BytesIO()
    safetensors.save(stream, history.state())

    def read(content: bytes) -> None:
        found = minidl.History.from_state(safetensors.load(io.BytesIO(content))[0])
        repr(found)
        assert set(minidl.History.from_state(found.state())) == set(found)

    return Target("history", lambda: [stream.getvalue()], read, (ValueError,), "", change_safetensors)


# ---- downloads -------------------------------------------------------------------------------------------------------


class _Wire(socket.socket):
    """One end of a pair of sockets, which takes the options of a network's."""

    def setsockopt(self, *_: Any) -> None:
        """Nothing."""


def _download(folder: Path) -> Target:
    payload = random.Random(0).randbytes(500)
    place = folder / "downloads"
    place.mkdir(parents=True, exist_ok=True)
    content_sum = hashlib.sha256(payload).hexdigest()
    source = Source("file", 500, "0" * 64, ("http://127.0.0.1/file",), content_sum, 500)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    seeds = [head % 500 + payload, head % len(gzip.compress(payload, mtime=0)) + gzip.compress(payload, mtime=0)]
    seeds += [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n" + payload + b"\r\n0\r\n\r\n"]
    seeds += [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/b\r\n\r\n", b"HTTP/1.1 404 No\r\n\r\n<html>"]

    def read(content: bytes) -> None:
        others = []

        def connect(*_: Any, **__: Any) -> socket.socket:
            mine, other = socket.socketpair()
            other.sendall(content)
            other.shutdown(socket.SHUT_WR)
            others.append(other)
            return _Wire(fileno=mine.detach())

        try:
            with mock.patch("socket.create_connection", connect), redirect_stderr(io.StringIO()):
                got = download.fetch(source, place).read_bytes()
        finally:
            for other in others:
                other.close()
            left = os.listdir(place)
            shutil.rmtree(place)
            assert left in ([], ["file"]), f"left: {left}"
        plain = gzip.decompress(got) if got[:2] == b"\x1f\x8b" else got
        assert plain == payload, "another content"

    change = partial(change_bytes, words=NETWORK)
    return Target("download", lambda: seeds, read, (download.DownloadError,), "file: ", change)
