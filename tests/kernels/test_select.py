"""Which backends there are, where one of them does not load."""

from __future__ import annotations

import importlib

import pytest

from minidl import kernels
from minidl.kernels import select

pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)


def test_a_native_backend_that_does_not_load_is_left_out_with_a_warning(monkeypatch):
    load = importlib.import_module

    def refuse(name):
        if name == "minidl.kernels.native":
            raise ImportError("compiled for another processor")
        return load(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    monkeypatch.setattr(select, "_loaded", {})
    message = "backend 'native' is not available in this installation: compiled for another processor"
    with pytest.warns(RuntimeWarning, match=message):
        assert kernels.available() == ("im2col", "reference")
