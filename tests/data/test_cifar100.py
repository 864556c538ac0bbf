"""CIFAR-100 from every form in which it is published, and from damaged ones."""

import gzip

import numpy as np
import pytest
from data_files import binary_batch, hundred_batch, hundred_files, python_batch, tar_gz

from minidl.data import CIFAR100_CLASSES, CIFAR100_COARSE_CLASSES, DataError, load_cifar100

TRAIN, TEST = hundred_batch(3, 0), hundred_batch(2, 1)


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


def check(dataset, coarse=False):
    for (x, y), (images, labels) in zip(dataset, (TRAIN, TEST), strict=True):
        np.testing.assert_array_equal(x, images.reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(y, labels[:, 0 if coarse else 1])
        assert x.dtype == np.uint8
        assert y.dtype == np.int64
        assert x.flags.c_contiguous
        assert x.flags.writeable


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("folder", [".", "cifar100", "cifar-100", "published", "cifar100/published"])
def test_batches_are_found_in_every_usual_folder(tmp_path, folder, python, coarse):
    published = "cifar-100-python" if python else "cifar-100-binary"
    write(tmp_path / folder.replace("published", published), hundred_files(python))
    check(load_cifar100(tmp_path, coarse), coarse)
    check(load_cifar100(str(tmp_path), coarse=coarse), coarse)


@pytest.mark.parametrize("python", [False, True])
def test_the_archive_and_gzipped_files_are_read(tmp_path, python):
    kind = "python" if python else "binary"
    members = {f"cifar-100-{kind}/{name}": raw for name, raw in reversed(hundred_files(python).items())}
    members[f"cifar-100-{kind}/fine_label_names.txt"] = b"apple"
    archive = tmp_path / "archive" / f"cifar-100-{kind}.tar.gz"
    write(archive.parent, {archive.name: tar_gz(members)})
    check(load_cifar100(archive))
    check(load_cifar100(archive.parent, coarse=True), coarse=True)
    write(tmp_path / "loose", {f"{name}.gz": gzip.compress(raw) for name, raw in hundred_files(python).items()})
    check(load_cifar100(tmp_path / "loose"))


def test_the_class_names_are_the_published_ones():
    assert len(CIFAR100_CLASSES) == 100
    assert len(CIFAR100_COARSE_CLASSES) == 20
    assert list(CIFAR100_CLASSES) == sorted(CIFAR100_CLASSES)  # the published files number them by the alphabet
    assert list(CIFAR100_COARSE_CLASSES) == sorted(CIFAR100_COARSE_CLASSES)
    assert (CIFAR100_CLASSES[19], CIFAR100_CLASSES[58], CIFAR100_CLASSES[99]) == ("cattle", "pickup_truck", "worm")
    assert (CIFAR100_COARSE_CLASSES[0], CIFAR100_COARSE_CLASSES[11], CIFAR100_COARSE_CLASSES[19]) == (
        "aquatic_mammals",
        "large_omnivores_and_herbivores",
        "vehicles_2",
    )


RAW = binary_batch(*TRAIN)
KEYS = ("coarse_labels", "fine_labels")


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("train.bin", b"", "has 0 bytes, must have a positive multiple of 3074 (2 labels and 3 x 32 x 32 pixels)"),
        ("train.bin", RAW[:-1], "has 9221 bytes"),
        ("test.bin", b"\x14" + RAW[1:], "to 20, must hold 0 to 19"),
        ("test.bin", RAW[:1] + b"\x64" + RAW[2:], "to 100, must hold 0 to 99"),
        ("test.bin", gzip.compress(RAW)[:-1], "truncated"),
        ("train.bin", b"<html>", "is an HTML page"),
        (
            "train",
            python_batch(TRAIN[0], TRAIN[1][:, 1]),
            "is not a CIFAR-100 Python batch (KeyError: b'coarse_labels')",
        ),
        ("train", python_batch(*TRAIN, keys=("coarse_labels", "labels")), "KeyError: b'fine_labels'"),
        ("test", python_batch(TRAIN[0], TRAIN[1] + 90, keys=KEYS), "must hold 0 to 19"),
        ("test", b"\x80\x02cos\nsystem\nU\x02ls\x85R.", "is not a CIFAR-100 Python batch: asks for os.system"),
    ],
)
def test_a_damaged_file_is_a_data_error_that_names_it(tmp_path, name, raw, message):
    write(tmp_path, hundred_files(python=not name.endswith(".bin")) | {name: raw})
    with pytest.raises(DataError, match=rf"{name}: ") as caught:
        load_cifar100(tmp_path)
    assert message in str(caught.value)


def test_labels_of_the_two_kinds_are_both_checked(tmp_path):
    images, labels = TRAIN
    write(tmp_path, hundred_files() | {"train.bin": binary_batch(images, labels + np.array([0, 100], np.uint8))})
    with pytest.raises(DataError, match=r"holds fine_labels from .* must hold 0 to 99"):
        load_cifar100(tmp_path, coarse=True)


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(TypeError, match="load_cifar100: coarse must be True or False, got 'fine'"):
        load_cifar100(tmp_path, coarse="fine")
    with pytest.raises(
        FileNotFoundError, match=r"CIFAR-100: .* must hold cifar-100-binary.tar.gz, or its files train.bin"
    ):
        load_cifar100(tmp_path)
