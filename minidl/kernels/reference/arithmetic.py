"""Arithmetic with broadcasting: numpy's, and its gradients, which are sums over what was broadcast."""

from __future__ import annotations

import numpy as np

from minidl.kernels.contract import Operand


def arithmetic_forward(a: Operand, b: Operand, operator: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        if operator == "+":
            return a + b
        if operator == "-":
            return a - b
        if operator == "*":
            return a * b
        if operator == "/":
            return a / b
        return np.where(a > 0, a, a * b)  # He, Zhang, Ren, Sun 2015, arXiv 1502.01852


def arithmetic_backward(
    dy: np.ndarray, a: Operand, b: Operand, operator: str, need: tuple[bool, bool] = (True, True)
) -> tuple[np.ndarray | None, np.ndarray | None]:
    with np.errstate(all="ignore"):
        if operator == "+":
            da, db = dy, dy
        elif operator == "-":
            da, db = dy, -dy
        elif operator == "*":
            da, db = dy * b, dy * a
        elif operator == "/":
            da, db = dy / b, -dy * (a / b) / b
        else:
            da, db = np.where(a > 0, dy, dy * b), np.where(a > 0, 0, dy * a)
        return _summed(da, a) if need[0] else None, _summed(db, b) if need[1] else None


def _summed(gradient: np.ndarray, operand: np.ndarray) -> np.ndarray:
    """The sum over each axis that is 1 in the operand, added in float64."""
    axes = tuple(axis for axis, size in enumerate(operand.shape) if size == 1)
    return gradient.sum(axes, keepdims=True, dtype=np.float64).astype(operand.dtype)
