"""The table of operators on the page is that of the code."""

from __future__ import annotations

from test_rooms import ROOT

from minidl.onnx.operators import table


def test_the_table_of_operators():
    text = (ROOT / "docs" / "onnx.md").read_text("utf-8")
    assert f"<!-- operators -->\n{table()}\n" in text + "\n"
