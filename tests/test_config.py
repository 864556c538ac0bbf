"""Threads and the report on the installation."""

from __future__ import annotations

import pytest

import minidl
from minidl import config, kernels

native = pytest.mark.skipif("native" not in kernels.available(), reason="native is not installed")


@native
def test_the_number_of_threads_can_be_set():
    before = minidl.get_num_threads()
    try:
        for n in (1, 3):
            minidl.set_num_threads(n)
            assert minidl.get_num_threads() == n
    finally:
        minidl.set_num_threads(before)


@pytest.mark.parametrize("n", [0, -2, 1.5, True, "2", None])
def test_numbers_of_threads_are_positive_ints(n):
    before = minidl.get_num_threads()
    with pytest.raises((TypeError, ValueError), match="set_num_threads: n must be"):
        minidl.set_num_threads(n)
    assert minidl.get_num_threads() == before


def test_without_native_there_is_one_thread_and_a_warning(monkeypatch, capsys):
    monkeypatch.setattr(config, "_native", lambda: None)
    with pytest.warns(UserWarning, match="no native backend"):
        minidl.set_num_threads(2)
    assert minidl.get_num_threads() == 1
    minidl.show_config()
    assert "native    not available" in capsys.readouterr().out


def test_show_config_tells_versions_and_the_backend_in_use(capsys):
    with kernels.use("reference"):
        minidl.show_config()
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["minidl"] == minidl.__version__
    assert rows["backends"].endswith("(in use: reference)")
    assert {"python", "numpy"} <= set(rows)
    assert ("threads" in rows) == ("native" in kernels.available())
