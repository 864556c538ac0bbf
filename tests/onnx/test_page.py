"""The page about ONNX: its table is that of the code, its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from onnx_run import needs_onnx
from test_rooms import ROOT

from minidl import data
from minidl.onnx.writers import WRITERS

PAGE = (ROOT / "docs" / "onnx.md").read_text("utf-8")


def test_the_table_of_layers_is_that_of_the_writers() -> None:
    wanted = []
    for kind in sorted(WRITERS, key=lambda kind: kind.__name__):
        _, operators, opset = WRITERS[kind]
        names = ", ".join(operators) or "none, the input goes on"
        wanted.append(f"| {kind.__name__} | {names} | {opset} |")
    table = PAGE.partition("| layer | operators | opset |\n|---|---|---|\n")[2].partition("\n\n")[0]
    assert table.strip() == "\n".join(wanted), "\n" + "\n".join(wanted)


BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FROM_TORCH = [block for block in BLOCKS if re.search(r"\btorch\b|network\.onnx", block)]
"""What needs PyTorch, and the file that it writes."""


@pytest.mark.witness
@needs_onnx
def test_the_python_for_a_network_of_pytorch_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    assert len(FROM_TORCH) == 3
    namespace: dict[str, object] = {}
    for block in FROM_TORCH:
        exec(compile(block, "onnx.md", "exec"), namespace)
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]


@needs_onnx
def test_the_python_of_the_page_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (x, y), (x_test, y_test) = data.load_digits_mini()
    monkeypatch.setattr(data, "load_digits_mini", lambda: ((x[:300], y[:300]), (x_test[:100], y_test[:100])))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in BLOCKS:
        if block in FROM_TORCH:
            continue
        exec(compile(block, "onnx.md", "exec"), namespace)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.onnx", "swish.onnx"]
