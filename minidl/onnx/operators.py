"""The operators that are read, each by a function that makes layers, called on nodes."""

from __future__ import annotations

from minidl.onnx import arithmetic, axes, maps, moves, normalise, pointwise, weighted, windows
from minidl.onnx.build import Function
from minidl.onnx.computed import TABLE as CONSTANT

TABLE: dict[str, tuple[int, Function]] = dict(
    sorted(
        (
            arithmetic.OPERATORS
            | axes.OPERATORS
            | maps.OPERATORS
            | moves.OPERATORS
            | normalise.OPERATORS
            | pointwise.OPERATORS
            | weighted.OPERATORS
            | windows.OPERATORS
        ).items()
    )
)
"""Operator -> (the version from which on it is read, its function)."""


def table() -> str:
    """The operators as a page shows them, by the version from which on they are read, and those of constants alone."""
    versions = sorted({since for since, _ in TABLE.values()})
    rows = ["| from version | operators |", "|---|---|"]
    for version in versions:
        rows.append(f"| {version} | {', '.join(kind for kind, (since, _) in TABLE.items() if since == version)} |")
    return "\n".join([*rows, f"| of constants | {', '.join(sorted(CONSTANT.keys() - TABLE.keys()))} |"])
