"""Arithmetic with broadcasting, which is numpy's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl.kernels.contract import Operand

Part = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
FORWARD: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "prelu": lambda a, b: np.where(a > 0, a, a * b),
}
BACKWARD: dict[str, tuple[Part, Part]] = {
    "+": (lambda dy, a, b: dy, lambda dy, a, b: dy),
    "-": (lambda dy, a, b: dy, lambda dy, a, b: -dy),
    "*": (lambda dy, a, b: dy * b, lambda dy, a, b: dy * a),
    "/": (lambda dy, a, b: dy / b, lambda dy, a, b: dy * (-(a / b) / b)),
    "prelu": (lambda dy, a, b: np.where(a > 0, dy, dy * b), lambda dy, a, b: dy * np.minimum(a, 0)),
}


def arithmetic_forward(a: Operand, b: Operand, operator: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return FORWARD[operator](a, b)


def arithmetic_backward(
    dy: np.ndarray, a: Operand, b: Operand, operator: str, need: tuple[bool, bool] = (True, True)
) -> tuple[np.ndarray | None, np.ndarray | None]:
    found: list[np.ndarray | None] = [None, None]
    for i, operand in enumerate((a, b)):
        if need[i]:
            with np.errstate(all="ignore"):
                gradient = BACKWARD[operator][i](dy, a, b)
            axes = tuple(axis for axis, size in enumerate(operand.shape) if size == 1)
            found[i] = gradient.sum(axes, keepdims=True, dtype=np.float64).astype(operand.dtype)
    return found[0], found[1]
