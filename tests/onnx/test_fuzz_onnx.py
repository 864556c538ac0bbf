"""The target "onnx" of tools/fuzz.py: a fixed number of its changes, none of them guided."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx.backend.test.loader")
from fuzzing import onnx_files
from fuzzing.search import Search, attempt
from fuzzing.target import Target
from graphs_of_onnx import file, operator

CHANGED = 400


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return onnx_files.target(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Some of those that it begins with."""
    return list(onnx_files.saved(tmp_path_factory.mktemp("fuzz")))


def test_changed_files_give_a_network_or_a_message(target: Target, files: list[bytes], tmp_path: Path) -> None:
    search = Search(target, tmp_path)
    rng = random.Random(0)
    changed = 0
    for _ in range(CHANGED):
        first = rng.choice(files)
        content = search.change(first, files)
        changed += content != first
        search.try_one(content)
    assert search.failures == {}
    assert changed > CHANGED * 0.9


def test_weights_that_train_apart_are_no_failure(target: Target) -> None:
    nodes = [operator("Conv", ["x", "w"], ["y"]), operator("Conv", ["x", "w"], ["z"], strides=[2, 2])]
    content = file(nodes, {"w": np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1)}, outputs=("y", "z"))
    with pytest.warns(UserWarning, match="each trains its own"):
        onnx_files.onnx.load(content)
    assert attempt(target, content) == ""


def test_too_much_memory_is_a_failure(files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    room = onnx_files.ROOM + 10 * onnx_files.EACH
    monkeypatch.setattr(onnx_files.onnx, "load", lambda content: bytearray(10 * len(content) + room))
    with pytest.raises(AssertionError, match="bytes for a file of"):
        onnx_files.read(files[0])
