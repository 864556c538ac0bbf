"""A few trainings killed by SIGKILL, at random times and within the writing of a checkpoint, end in the same bits."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "kill_and_resume.py"


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_trainings_end_in_the_bits_of_undisturbed_ones(capsys):
    spec = importlib.util.spec_from_file_location("kill_and_resume", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.main(["--times", "4", "--seed", "1"])
    text = capsys.readouterr().out
    assert "4 of 4 killed trainings ended in the bits of the undisturbed ones" in text
    kills = re.findall(r"(\d) kills at a time, (\d) within a write", text)
    assert sum(int(timed) + int(written) for timed, written in kills) >= 4
