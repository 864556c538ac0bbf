"""The page about data: every block as printed, in the order of the page, on small files."""

import re
from pathlib import Path

import numpy as np
import pytest
from data_files import hundred_files, write_mnist

from minidl import data

Image = pytest.importorskip("PIL.Image")
PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with small files of the data sets, and the pictures of the page in the current folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path / "data" / "mnist", gz=True)
    parts = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    names = [f"emnist-letters-{part}-ubyte" for part in parts]
    arrays = write_mnist(tmp_path / "data" / "emnist", names=names)
    for i in (1, 3):
        file = tmp_path / "data" / "emnist" / names[i]
        file.write_bytes(file.read_bytes()[:8] + bytes(arrays[i] + 1))
    folder = tmp_path / "data" / "cifar-100-binary"
    folder.mkdir()
    for name, raw in hundred_files().items():
        (folder / name).write_bytes(raw)
    rng = np.random.default_rng(0)
    for place in ("pets", "animals/train", "animals/test"):
        for name in ("cat", "dog"):
            (tmp_path / place / name).mkdir(parents=True)
            for i in range(10):
                pixels = rng.integers(0, 256, (40 + i, 50, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / place / name / f"{i}.jpg")
    return tmp_path


def test_every_block_of_the_page_runs(home):
    namespace = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 8
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
    assert namespace["names"] == ["cat", "dog"]
    assert namespace["picture"].shape == (3, 32, 32)
    assert len(namespace["i_test"]) == 4
    assert namespace["train"][0].shape == (20, 3, 32, 32)


def test_the_page_names_every_loader_and_class_list():
    text = PAGE.read_text(encoding="utf-8")
    for name in data.__all__:
        if name.startswith(("load_", "read_", "list_")) or name.endswith("_CLASSES"):
            assert name in text, name
