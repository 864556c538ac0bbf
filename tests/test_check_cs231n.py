"""The check of a CS231n assignment: right functions pass, and each kind of fault is named."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import check_cs231n
import numpy as np
import pytest

ASSIGNMENT = Path(__file__).parent / "assignment"


@pytest.fixture
def layers(monkeypatch):
    """The `cs231n.layers` of the assignment, forgotten after the test."""
    monkeypatch.syspath_prepend(str(ASSIGNMENT))
    yield importlib.import_module("cs231n.layers")
    for name in [name for name in sys.modules if name.partition(".")[0] == "cs231n"]:
        del sys.modules[name]


@pytest.fixture
def said(layers, monkeypatch, capsys):
    """Run the tool: the words behind each function's name, and the exit status."""

    def run() -> tuple[dict[str, str], int]:
        monkeypatch.setattr(sys, "argv", ["check_cs231n.py", str(ASSIGNMENT)])
        with pytest.raises(SystemExit) as end:
            check_cs231n.main()
        lines = [line[2:] for line in capsys.readouterr().out.splitlines() if line[:2] == "  "]
        return {line[:54].split(",")[0].strip(): line[55:] for line in lines}, int(end.value.code)

    return run


def test_right_functions_of_all_notebooks_pass(said):
    found, status = said()
    assert len(found) == 14
    assert [words.split()[-1] for words in found.values()] == ["ok"] * 14
    assert status == 0


def test_a_wrong_function_is_named(said, layers, monkeypatch):
    monkeypatch.setattr(layers, "relu_backward", lambda dout, x: dout)
    monkeypatch.setattr(layers, "max_pool_forward_naive", lambda x, pool_param: (x, None))
    found, status = said()
    assert found["relu_forward"] == "1.0e+00  WRONG"
    assert found["max_pool_forward_naive"].startswith(("inf", "TypeError"))
    assert found["affine_forward"].endswith("ok")
    assert status == 1


def test_what_is_not_written_yet_is_no_fault(said, layers, monkeypatch):
    monkeypatch.setattr(layers, "conv_forward_naive", lambda x, w, b, conv_param: (None, None))
    monkeypatch.delattr(layers, "layernorm_backward")
    found, status = said()
    assert found["conv_forward_naive"] == "not written yet"
    assert found["layernorm_forward"] == "there is no layernorm_backward"
    assert status == 0


def test_an_error_in_a_function_is_said_and_the_others_are_checked(said, layers, monkeypatch):
    def broken(dout, cache):
        raise ValueError("shapes do not fit")

    monkeypatch.setattr(layers, "affine_backward", broken)
    found, status = said()
    assert found["affine_forward"] == "ValueError: shapes do not fit"
    assert found["adam"].endswith("ok")
    assert status == 1


@pytest.mark.parametrize(
    ("mine", "right", "expected"),
    [([1.0, 2], [1.0, 2], 0.0), ([1.0], [3.0], 0.5), ([1.0], [1.0, 1], np.inf), ([np.nan], [1.0], np.inf)],
)
def test_differences_are_shares_of_the_values(mine, right, expected):
    assert check_cs231n.difference(mine, right) == expected
