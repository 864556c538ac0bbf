"""EMNIST: the six splits, upright images, labels from 0, loose files and the zip archive."""

import io
import zipfile

import numpy as np
import pytest
from data_files import gzip, idx_bytes, outcome, write_mnist
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.data import EMNIST_CLASSES, DataError, load_emnist
from minidl.data.files.zipped import _check_directory


def names(split):
    parts = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    return [f"emnist-{split}-{part}-ubyte" for part in parts]


def check(dataset, arrays, first=0):
    (x_train, y_train), (x_test, y_test) = dataset
    np.testing.assert_array_equal(x_train, arrays[0].transpose(0, 2, 1)[:, np.newaxis])
    np.testing.assert_array_equal(y_train, arrays[1] - first)
    np.testing.assert_array_equal(x_test, arrays[2].transpose(0, 2, 1)[:, np.newaxis])
    np.testing.assert_array_equal(y_test, arrays[3] - first)
    assert x_train.dtype == x_test.dtype == np.uint8
    assert y_train.dtype == y_test.dtype == np.int64
    assert x_train.flags.c_contiguous
    assert x_train.flags.writeable


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("folder", [".", "gzip", "emnist", "emnist/gzip", "EMNIST/raw", "EMNIST"])
def test_loose_files_are_found_in_every_usual_folder(tmp_path, folder, gz):
    arrays = write_mnist(tmp_path / folder, gz, names=names("balanced"))
    check(load_emnist(tmp_path), arrays)


@pytest.mark.parametrize("split", EMNIST_CLASSES)
def test_every_split_has_its_files(tmp_path, split):
    everything = {}
    for seed, other in enumerate(EMNIST_CLASSES):
        everything[other] = write_mnist(tmp_path, seed=10 * seed, names=names(other))
        for i in (1, 3):
            everything[other][i] = everything[other][i] % 5 + 1
            (tmp_path / names(other)[i]).write_bytes(idx_bytes(everything[other][i]))
    check(load_emnist(tmp_path, split), everything[split], first=1 if split == "letters" else 0)


def test_images_are_upright(tmp_path):
    """A letter L: as the files hold it, its columns are rows."""
    letter = np.zeros((28, 28), np.uint8)
    letter[4:24, 6] = 255
    letter[23, 6:16] = 255
    write_mnist(tmp_path, names=names("letters"))
    for i, count in ((0, 5000), (2, 1)):  # more than are turned at a time
        (tmp_path / names("letters")[i]).write_bytes(idx_bytes(np.repeat(letter.T[np.newaxis], count, axis=0)))
        (tmp_path / names("letters")[i + 1]).write_bytes(idx_bytes(np.full(count, 12, np.uint8)))
    (x, y), (x_test, _) = load_emnist(tmp_path, "letters")
    assert (x == letter).all()
    assert (x_test == letter).all()
    assert EMNIST_CLASSES["letters"][y[0]] == "L"


def test_the_class_names_are_the_published_ones():
    assert {split: len(classes) for split, classes in EMNIST_CLASSES.items()} == {
        "balanced": 47,
        "byclass": 62,
        "bymerge": 47,
        "digits": 10,
        "letters": 26,
        "mnist": 10,
    }
    assert "".join(EMNIST_CLASSES["balanced"]) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    assert "".join(EMNIST_CLASSES["byclass"][34:38]) == "YZab"


@pytest.mark.parametrize(
    ("split", "label", "message"),
    [
        ("balanced", 47, "holds the label 47, must hold 0 to 46"),
        ("letters", 0, "holds the label 0, must hold 1 to 26"),
        ("letters", 27, "holds the label 27, must hold 1 to 26"),
        ("mnist", 10, "holds the label 10, must hold 0 to 9"),
    ],
)
def test_labels_outside_of_the_split_are_refused(tmp_path, split, label, message):
    write_mnist(tmp_path, names=names(split))
    for i, count in ((1, 7), (3, 3)):
        labels = np.ones(count, np.uint8)
        labels[-1] = label
        (tmp_path / names(split)[i]).write_bytes(idx_bytes(labels))
    with pytest.raises(DataError, match=f"train-labels-idx1-ubyte: {message}"):
        load_emnist(tmp_path, split)


def zipped(folder, prefix="gzip/", method=zipfile.ZIP_DEFLATED, extra=()):
    """The archive's bytes and the arrays in it."""
    arrays = write_mnist(folder, gz=True, names=names("balanced"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in names("balanced"):
            archive.writestr(f"{prefix}{name}.gz", (folder / f"{name}.gz").read_bytes())
        for name, raw in extra:
            archive.writestr(name, raw)
    return stream.getvalue(), arrays


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", ["gzip/", "", "a/b/"])
def test_the_archive_is_read_as_a_path_or_in_a_folder(tmp_path, prefix, method):
    raw, arrays = zipped(tmp_path / "origin", prefix, method, [("gzip/emnist-balanced-mapping.txt", b"0 48")])
    for name in ("gzip.zip", "emnist.zip"):
        place = tmp_path / name.removesuffix(".zip")
        (place / "EMNIST").mkdir(parents=True)
        (place / "EMNIST" / name).write_bytes(raw)
        check(load_emnist(place), arrays)
        check(load_emnist(place / "EMNIST" / name), arrays)
        assert [path.name for path in (place / "EMNIST").iterdir()] == [name]  # nothing was unpacked


def test_plain_files_in_an_archive_are_read(tmp_path):
    arrays = write_mnist(tmp_path, names=names("digits"))
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        for name in names("digits"):
            archive.write(tmp_path / name, name)
    check(load_emnist(tmp_path / "e.zip", "digits"), arrays)


def test_damaged_and_hostile_archives_are_data_errors_that_name_them(tmp_path):
    good, _ = zipped(tmp_path / "origin")
    again, _ = zipped(tmp_path / "origin", extra=[(f"other/{names('balanced')[0]}", b"")])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{names('balanced')[0]}.gz", gzip.compress(idx_bytes(np.zeros(1, np.uint8)) + bytes(2**20)))
    bomb = stream.getvalue()
    table = bytearray(good)
    end = table.rfind(b"PK\5\6")
    table[end + 12 : end + 16] = (2**21).to_bytes(4, "little")
    crc = bytearray(good)
    start = good.find(b"PK\1\2")
    crc[start + 16] ^= 1
    for raw, message in (
        (b"", "is not a zip archive, or is damaged"),
        (b"<html>", "is not a zip archive, or is damaged"),
        (good[:-1], "is not a zip archive"),
        (good[: len(good) // 2], "is not a zip archive"),
        (again, "has 2 files emnist-balanced-train-images-idx3-ubyte, must have one"),
        (bytes(table), "its table of contents has more than 1048576 bytes"),
        (bytes(crc), "gzip/emnist-balanced-train-images-idx3-ubyte.gz: corrupt zip data (Bad CRC-32"),
        (bomb, "emnist-balanced-train-images-idx3-ubyte.gz: has more than the 9 bytes"),
    ):
        (tmp_path / "e.zip").write_bytes(raw)
        with pytest.raises(DataError) as caught:
            load_emnist(tmp_path / "e.zip")
        assert str(caught.value).startswith(str(tmp_path / "e.zip"))
        assert message in str(caught.value)
    (tmp_path / "e.zip").write_bytes(good)
    with pytest.raises(DataError, match=r"e\.zip: has 0 files emnist-letters-train-images-idx3-ubyte, must have one"):
        load_emnist(tmp_path / "e.zip", "letters")


def test_an_archive_whose_files_begin_before_it(tmp_path):
    raw = bytearray(zipped(tmp_path / "origin")[0])
    raw[raw.rfind(b"PK\5\6") + 17] += 33  # where the table of contents claims to begin
    (tmp_path / "archive").write_bytes(raw)
    with pytest.raises(DataError, match="archive: is not a zip archive, or is damaged"):
        load_emnist(tmp_path / "archive")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_of_an_archive_gives_images_or_a_data_error(tmp_path, data):
    raw = bytearray(zipped(tmp_path / "origin")[0])
    heads = [i for i in range(len(raw) - 3) if raw[i : i + 4] in (b"PK\1\2", b"PK\3\4", b"PK\5\6")]
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.sampled_from(heads)) + data.draw(st.integers(0, 60))
        raw[min(place, len(raw) - 1)] = data.draw(st.integers(0, 255))
    (tmp_path / "archive").write_bytes(raw)
    dataset, message = outcome(load_emnist, tmp_path / "archive")
    if dataset is None:
        assert "archive" in message
    else:
        assert dataset[0][0].shape == (7, 1, 28, 28)


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    for wrong in ("Balanced", "", 3, None, ["balanced"]):
        with pytest.raises(
            ValueError, match="load_emnist: split must be one of balanced, byclass, bymerge, digits, lett"
        ):
            load_emnist(tmp_path, wrong)
    with pytest.raises(
        FileNotFoundError, match=r"EMNIST: .* must hold gzip.zip, or emnist-mnist-train-images-idx3-ubyte,"
    ):
        load_emnist(tmp_path, "mnist")


def test_a_table_of_contents_at_the_very_start_counts(tmp_path):
    """An archive of nothing, which says that it has a table of four gigabytes."""
    path = tmp_path / "emnist.zip"
    path.write_bytes(b"PK\5\6" + bytes(8) + b"\xfe\xff\xff\xff" + bytes(6))
    with pytest.raises(DataError, match="its table of contents has more than"):
        _check_directory(path)
