"""What the pages of operations print beside minidl's own numbers: PyTorch's, which are stored, and times."""

from __future__ import annotations

import contextlib
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minidl

HERE = Path(__file__).parent
STORED = json.loads((HERE / "operations" / "pytorch.json").read_text("utf-8"))


def pytorch(name: str) -> dict[str, np.ndarray]:
    """The stored numbers of one example."""
    return {key: np.asarray(value) for key, value in STORED[name].items()}


def compare(name: str, **values: Any) -> None:
    """Print how far minidl's arrays are from PyTorch's of the same names, and where the latter come from."""
    stored = pytorch(name)
    for key, value in values.items():
        difference = np.abs(np.asarray(value).reshape(stored[key].shape) - stored[key]).max()
        print(f"{key:6} largest difference from PyTorch's {difference:.1e}")
    print(f"({STORED['origin']})")


def shortest(function: Callable[[], Any], seconds: float = 0.15) -> float:
    """Seconds of one call, the shortest of many: what is longer was disturbed."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def backends(function: Callable[[], Any]) -> None:
    """Print the time of a call on each backend, on the machine that builds the page."""
    with contextlib.redirect_stdout(io.StringIO()) as report:
        minidl.show_config()
    config = dict(line.split(None, 1) for line in report.getvalue().splitlines())
    print(f"{config['isa']}, {config['threads']} threads; plain arrays in and out")
    slowest = None
    for name in ("reference", "im2col", "native"):
        with minidl.kernels.use(name):
            function()
            seconds = shortest(function)
        slowest = slowest or seconds
        print(f"{name:10} {seconds * 1e3:10.3f} ms {slowest / seconds:10,.0f} times as fast as the naive loops")


def suite(*words: str) -> None:
    """Print the lines of the README's benchmark that contain one of the words, with its machine."""
    block = (HERE.parents[1] / "README.md").read_text("utf-8")
    block = re.search(r"(?s)<!-- benchmark -->\n(.*?)<!-- /benchmark -->", block)[1]  # type: ignore[index]
    lines = block.splitlines()
    print(lines[0])
    for line in lines:
        cells = [cell.strip().replace("**", "") for cell in line.strip("|").split("|")]
        if len(cells) == 5 and (cells[0] == "what" or any(word in cells[0] for word in words)):
            what = cells[0].split(":")[0] if len(cells[0]) > 60 else cells[0]
            print(f"{what:56} {cells[1]:>7}  {cells[2]:>8}  {cells[3]:>30}  {cells[4]:>13}")
