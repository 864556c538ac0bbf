"""The page's columns of times: written beside the sizes, and replaced by the next measurement."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = """## Sizes

| network | parameters | image | 10^6 multiply-adds |
|---|---|---|---|
| `lenet5` | 61,706 | 1 x 32 x 32 | 0.4 |
| `vgg16, norm=True` | 138,365,992 | 3 x 224 x 224 | 15,470 |

Behind.
"""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("tools.network_times")


def test_columns_are_written_and_replaced(tool: Any) -> None:
    page = tool.written(PAGE, {"lenet5": tool.Times(0.00012, 0.0034)}, "an old machine")
    found = tool.written(
        page, {"lenet5": tool.Times(0.0001, 0.0034), "vgg16, norm=True": tool.Times(1, 2)}, "a machine"
    )
    assert tool.written(found, {}, "a machine").count("| - | - |") == 2
    lines = found.splitlines()
    assert lines[2:6] == [
        "| network | parameters | image | 10^6 multiply-adds | prediction | training step |",
        "|---|---|---|---|---|---|",
        "| `lenet5` | 61,706 | 1 x 32 x 32 | 0.4 | 100 us | 3.40 ms |",
        "| `vgg16, norm=True` | 138,365,992 | 3 x 224 x 224 | 15,470 | 1.00 s | 2.00 s |",
    ]
    assert "an old machine" not in found
    assert found.count("a machine") == 1
    assert found.endswith("<!-- end -->\n\nBehind.\n")


def test_small_networks_are_timed(tool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tool.main(["lenet5", "--seconds", "0.001"])
    assert capsys.readouterr().out.split()[0] == "lenet5"
    assert tool.measured("espcn", (1, 8, 8), 0.001).step > 0
    assert tool.build("unet, classes=2").layers
    with pytest.raises(SystemExit):
        tool.main(["resnet19"])
