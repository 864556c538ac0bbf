"""What notebooks show, and what is imported when."""

from __future__ import annotations

import copy
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import plots


def test_matplotlib_is_loaded_only_when_something_is_drawn_and_its_absence_explained():
    program = """
import sys
import minidl.plots
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
try:
    minidl.plots.curves_figure({})
except ImportError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(minidl.__file__).parents[1])}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "minidl.plots draws with matplotlib: pip install 'minidl[plot]'"


def size(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def test_a_figure_shows_itself_in_its_size_without_pyplot():
    program = """
import struct, sys
import numpy as np
from minidl import plots
figure = plots.confusion_figure(np.eye(3, dtype=int))
png = figure._repr_png_()
assert png.startswith(b"\\x89PNG")
assert "matplotlib.pyplot" not in sys.modules
print(*struct.unpack(">II", png[16:24]), *(figure.get_size_inches() * 110).astype(int))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(minidl.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    width, height, *expected = map(int, run.stdout.split())
    assert [width, height] == expected


def test_figures_can_be_copied_and_pickled():
    figure = plots.confusion_figure(np.eye(3, dtype=int))
    for other in (copy.deepcopy(figure), pickle.loads(pickle.dumps(figure))):
        assert size(other._repr_png_()) == size(figure._repr_png_())
        assert other.axes[0].get_title() == "3 of 3 right (100.00 %)"


def test_ipython_shows_figures_as_pictures_and_tables_as_html():
    formatters = pytest.importorskip("IPython.core.formatters")
    shown, _ = formatters.DisplayFormatter().format(plots.confusion_figure(np.eye(2, dtype=int)))
    assert size(shown["image/png"])[0] > 300
    shown, _ = formatters.DisplayFormatter().format(minidl.Model(minidl.Linear(2, 2)).summary((2,)))
    assert shown["text/html"].startswith("<table><thead>")
