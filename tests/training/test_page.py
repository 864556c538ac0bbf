"""The page about long runs: every block as printed, in the order of the page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "runs.md"


@pytest.mark.filterwarnings("ignore:find_lr")
def test_every_block_of_the_page_runs(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, "runs.md", "exec"), names)
    assert {"last.safetensors", "lr.png", "maps.gif", "run.csv", "run.safetensors"} <= set(os.listdir())
    assert len([name for name in os.listdir() if re.fullmatch(r"e\d{3}-\d\.\d{3}\.safetensors", name)]) == 2
    assert names["found"].doubt == ""
    assert names["history"].epochs == 2
