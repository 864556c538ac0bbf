"""The search of tools/fuzz_onnx.py without atheris: a fixed number of its changes, none of them guided."""

from __future__ import annotations

import contextlib
import importlib.util
import random
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx.backend.test.loader")
from graphs_of_onnx import file, operator

TOOL = Path(__file__).parents[2] / "tools" / "fuzz_onnx.py"
CHANGED = 400


def mutate(content: bytes, most: int) -> bytes:
    """What atheris does without knowledge of the format, in short."""
    changed = bytearray(content)
    rng = random.Random(len(content))
    for _ in range(3):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed[:most])


@pytest.fixture(scope="module")
def tool() -> Iterator[Any]:
    """The script as a module."""
    stub = types.ModuleType("atheris")
    stub.instrument_imports = lambda **_: contextlib.nullcontext()  # type: ignore[attr-defined]
    stub.Mutate = mutate  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "atheris", stub)
        spec = importlib.util.spec_from_file_location("fuzz_onnx", TOOL)
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        yield found


@pytest.fixture(scope="module")
def files(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Some of those that it begins with."""
    return list(tool.saved(tmp_path_factory.mktemp("fuzz")))


def test_changed_files_give_a_network_or_a_message(tool: Any, files: list[bytes]) -> None:
    mutated = tool.mutator(files)
    rng = random.Random(0)
    changed = 0
    for seed in range(CHANGED):
        first = rng.choice(files)
        content = mutated(first, tool.LONGEST, seed)
        changed += content != first
        if content:
            tool.attempt(content)
    assert changed > CHANGED * 0.9


def test_weights_that_train_apart_are_no_failure(tool: Any) -> None:
    nodes = [operator("Conv", ["x", "w"], ["y"]), operator("Conv", ["x", "w"], ["z"], strides=[2, 2])]
    content = file(nodes, {"w": np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1)}, outputs=("y", "z"))
    with pytest.warns(UserWarning, match="each trains its own"):
        tool.onnx.load(content)
    tool.attempt(content)


def test_a_failure_is_one(tool: Any, files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool.onnx, "load", lambda content: bytearray(10 * len(content) + tool.ROOM + 10 * tool.EACH))
    with pytest.raises(AssertionError, match="bytes for a file of"):
        tool.attempt(files[0])
    monkeypatch.setattr(tool.onnx, "load", lambda content: {}[0])
    with pytest.raises(KeyError):
        tool.attempt(files[0])
