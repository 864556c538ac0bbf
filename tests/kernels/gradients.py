"""One row for each gradient of the contract: what central differences of the reference are taken of.

A case has float64 arrays, a forward function of them, and a backward function that gives one gradient an array. The
backward function gets dy and what the forward function gave, for it often needs more of that than y, the first of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from kernels import cases

from minidl.kernels import reference as r


class Case(NamedTuple):
    arrays: tuple[np.ndarray, ...]
    forward: Callable[..., Any]
    backward: Callable[..., tuple[np.ndarray, ...]]


rng = np.random.default_rng(31)
X = 2 * rng.standard_normal((3, 4, 4, 5))
X += np.sign(X) * 0.01  # away from the kinks at 0
DISTINCT = rng.permutation(np.arange(240.0)).reshape(3, 4, 4, 5) / 10 - 12.05  # no step changes a maximum, or a sign
W, B = rng.standard_normal((6, 2, 3, 2)), rng.standard_normal(6)
FLAT, MATRIX = rng.standard_normal((4, 5)), rng.standard_normal((6, 5))
GAMMA, BETA, MEAN, VAR = *rng.standard_normal((3, 4)), rng.uniform(0.5, 2, 4)
PLANE = rng.standard_normal((2, 4, 5))
U, ROUTES = rng.standard_normal((2, 5, 3)), 0.7 * rng.standard_normal((5, 4, 2, 3))
V = rng.standard_normal((3, 4, 2))
TARGET = rng.random((4, 5))
FACTORS, ROWS = rng.uniform(0.5, 2, 5), np.array([0.5, 0, 2, 1])
SIDE = rng.standard_normal((3, 4, 5, 2))
SPREAD = rng.standard_normal((4, 3, 3, 2))
WINDOW = (2, 1), (1, 1), (1, 2), 2
TRANSPOSED = (2, 1), ((1, 0), (0, 2)), (1, 0), (1, 2), 2
POOL = (3, 2), (2, 1), (1, 1)
BOXES = np.array([[0, 70, 1, 3, -20, 5, 2, 0, 1], [1, 3, 3, 4, 4, 5, 1, 1, 1]])
TAPS = (rng.integers(0, 4, (5, 2)), rng.standard_normal((5, 2))), (rng.integers(0, 5, (3, 3)), rng.random((3, 3)))
BLOCK = True, ("max", *POOL)


def _norm(train: bool) -> Case:
    return Case(
        (X, GAMMA, BETA),
        lambda x, g, b: r.batchnorm_forward(x, g, b, MEAN.copy(), VAR.copy(), 0.9, 1e-3, train),
        lambda dy, saved, x, g, b: r.batchnorm_backward(dy, x, g, *saved[1:], train),
    )


def _norm_block(train: bool) -> Case:
    return Case(
        (DISTINCT, GAMMA, BETA),
        lambda x, g, b: r.norm_block_forward(x, g, b, MEAN.copy(), VAR.copy(), 0.9, 1e-3, train, *BLOCK),
        lambda dy, saved, x, g, b: r.norm_block_backward(dy, saved[1], x, g, train, *BLOCK),
    )


def _activation(row: cases.Activation) -> Case:
    return Case((X,), lambda x: (row.forward(r, x),), lambda dy, y, x: (row.backward(r, dy, x, *y),))


def _function(kind: str, a: float, b: float) -> Case:
    x = np.abs(X) + 0.5 if kind in ("log", "sqrt", "pow") else X + np.sign(X) * (kind == "reciprocal")
    return Case(
        (x,),
        lambda x: (r.elementwise_forward(x, kind, a, b),),
        lambda dy, y, x: (r.elementwise_backward(dy, x, kind, a, b),),
    )


def _arithmetic(a: np.ndarray, b: np.ndarray, operator: str) -> Case:
    return Case(
        (a, b),
        lambda a, b: (r.arithmetic_forward(a, b, operator),),
        lambda dy, y, a, b: r.arithmetic_backward(dy, a, b, operator),
    )


def _product(a: np.ndarray, b: np.ndarray) -> Case:
    return Case(
        (a, b),
        lambda a, b: (r.matmul_forward(a, b),),
        lambda dy, y, a, b: r.matmul_backward(dy, a, b),
    )


def _reduction(kind: str, axes: tuple[int, ...]) -> Case:
    return Case(
        (DISTINCT,),
        lambda x: (r.reduce_forward(x, kind, axes),),
        lambda dy, y, x: (r.reduce_backward(dy, kind, axes, x.shape, x, *y),),
    )


def _softmax(axes: tuple[int, ...], log: bool) -> Case:
    return Case(
        (X,),
        lambda x: (r.softmax_forward(x, axes, log),),
        lambda dy, y, x: (r.softmax_backward(dy, *y, axes, log),),
    )


def _loss(operation: str, *rest: Any) -> Case:
    """A loss gives its gradient itself."""
    return Case((FLAT,), lambda x: getattr(r, operation)(x, *rest), lambda dy, y, x: (dy * y[1],))


GATES = 1 + rng.random((3, 4, 1, 1)), 1 + rng.random((3, 1, 4, 5)), 1 + rng.random((1, 4, 1, 1))
CASES: dict[str, list[Case]] = {
    "elementwise_backward": [_function(*row) for row in cases.ELEMENTWISE],
    "arithmetic_backward": [_arithmetic(X, gate, sign) for gate in GATES for sign in ("+", "-", "*", "/", "prelu")]
    + [_arithmetic(gate, 3 + X * X, sign) for gate in GATES for sign in ("-", "/")],
    "matmul_backward": [
        _product(X, SIDE),
        _product(X, SIDE[:, :1]),
        _product(X[:, 1:2], SIDE),
        _product(X[:, 0], SIDE[:, 0]),
    ],
    "reduce_backward": [_reduction(kind, axes) for kind in ("sum", "mean", "max") for axes in ((1,), (2, 3), (1, 3))],
    "softmax_backward": [_softmax(axes, log) for axes in ((1,), (2, 3)) for log in (False, True)],
    "conv2d_backward": [
        Case(
            (X, W, B),
            lambda x, w, b: (r.conv2d_forward(x, w, b, *WINDOW),),
            lambda dy, y, x, w, b: r.conv2d_backward(dy, x, w, *WINDOW),
        )
    ],
    "conv_transpose2d_backward": [
        Case(
            (X, SPREAD, B),
            lambda x, w, b: (r.conv_transpose2d_forward(x, w, b, *TRANSPOSED),),
            lambda dy, y, x, w, b: r.conv_transpose2d_backward(dy, x, w, *TRANSPOSED),
        )
    ],
    "local_response_backward": [
        Case(
            (X,),
            lambda x, size=size: (r.local_response_forward(x, size, 0.7, 0.75, 1.5),),
            lambda dy, y, x, size=size: (r.local_response_backward(dy, x, size, 0.7, 0.75, 1.5),),
        )
        for size in (2, 3, 9)
    ],
    "maxpool2d_backward": [
        Case(
            (DISTINCT,),
            lambda x: r.maxpool2d_forward(x, *POOL),
            lambda dy, y, x: (r.maxpool2d_backward(dy, y[1], x.shape, *POOL),),
        )
    ],
    "avgpool2d_backward": [
        Case(
            (X,),
            lambda x: (r.avgpool2d_forward(x, *POOL),),
            lambda dy, y, x: (r.avgpool2d_backward(dy, x.shape, *POOL),),
        )
    ],
    "adaptive_avgpool_backward": [
        Case(
            (X,),
            lambda x: (r.adaptive_avgpool_forward(x, (3, 2)),),
            lambda dy, y, x: (r.adaptive_avgpool_backward(dy, x.shape),),
        )
    ],
    "global_maxpool_backward": [
        Case(
            (DISTINCT,),
            lambda x: r.global_maxpool_forward(x),
            lambda dy, y, x: (r.global_maxpool_backward(dy, y[1], x.shape),),
        )
    ],
    "global_avgpool_backward": [
        Case(
            (X,),
            lambda x: (r.global_avgpool_forward(x),),
            lambda dy, y, x: (r.global_avgpool_backward(dy, x.shape),),
        )
    ],
    "linear_backward": [
        Case(
            (FLAT, MATRIX, B),
            lambda x, w, b: (r.linear_forward(x, w, b),),
            lambda dy, y, x, w, b: r.linear_backward(dy, x, w),
        )
    ],
    "batchnorm_backward": [_norm(True), _norm(False)],
    "groupnorm_backward": [
        Case(
            (X, GAMMA, BETA),
            lambda x, g, b: r.groupnorm_forward(x, g, b, 2, 1e-3),
            lambda dy, saved, x, g, b: r.groupnorm_backward(dy, x, g, *saved[1:]),
        )
    ],
    "layernorm_backward": [
        Case(
            (X, *PLANE),
            lambda x, g, b: r.layernorm_forward(x, g, b, 1e-3),
            lambda dy, saved, x, g, b: r.layernorm_backward(dy, x, g, *saved[1:]),
        )
    ],
    "dropout_backward": [
        Case((X,), lambda x: (r.dropout_forward(x, 0.4, 99),), lambda dy, y, x: (r.dropout_backward(dy, 0.4, 99),))
    ],
    "squash_backward": [
        Case((X,), lambda x: (r.squash_forward(x, 2),), lambda dy, y, x: (r.squash_backward(dy, x, 2),))
    ],
    "capsules_backward": [
        Case(
            (U, ROUTES),
            lambda u, w: r.capsules_forward(u, w, 3),
            lambda dv, saved, u, w: r.capsules_backward(dv, saved[1], u, w, 3),
        )
    ],
    "capsule_length_backward": [
        Case(
            (V,),
            lambda v: (r.capsule_length_forward(v),),
            lambda dy, y, v: (r.capsule_length_backward(dy, v, *y),),
        )
    ],
    "boxes_backward": [
        Case(
            (X, PLANE),
            lambda x, p: (r.boxes_forward((x, np.stack([p[0]] * 3)), (20,), BOXES),),
            lambda dy, y, x, p: (
                r.boxes_backward(dy, x.shape, BOXES),
                np.stack([r.boxes_backward(dy, (3, 4, 5), BOXES, 1).sum(0), np.zeros((4, 5))]),
            ),
        )
    ],
    "resize_backward": [
        Case(
            (X,),
            lambda x: (r.resize_forward(x, *TAPS),),
            lambda dy, y, x: (r.resize_backward(dy, x.shape, *TAPS),),
        )
    ],
    "softmax_cross_entropy": [
        _loss("softmax_cross_entropy", TARGET, 0.1),
        _loss("softmax_cross_entropy", np.array([4, 0, 2, 2]), 0.0),
        _loss("softmax_cross_entropy", np.array([4, 0, 2, 2]), 0.1, ROWS, FACTORS),
        _loss("softmax_cross_entropy", TARGET, 0.1, ROWS, FACTORS),
    ],
    "sigmoid_cross_entropy": [
        _loss("sigmoid_cross_entropy", TARGET),
        _loss("sigmoid_cross_entropy", TARGET, ROWS, FACTORS),
    ],
    "mse_loss": [_loss("mse_loss", TARGET), _loss("mse_loss", TARGET, ROWS, True)],
    "l1_loss": [_loss("l1_loss", TARGET), _loss("l1_loss", TARGET, ROWS)],
    "huber_loss": [_loss("huber_loss", TARGET, 0.6), _loss("huber_loss", TARGET, 0.6, ROWS)],
    "margin_loss": [_loss("margin_loss", TARGET, 0.8, 0.2, 0.7), _loss("margin_loss", TARGET, 0.8, 0.2, 0.7, ROWS)],
    "squared_error": [_loss("squared_error", TARGET, 0.1), _loss("squared_error", TARGET, 0.1, ROWS)],
    "conv_block_backward": [
        Case(
            (DISTINCT, W, B),
            lambda x, w, b: r.conv_block_forward(x, w, b, *WINDOW, *BLOCK),
            lambda dy, saved, x, w, b: r.conv_block_backward(dy, saved[1], x, w, *WINDOW, *BLOCK),
        )
    ],
    "norm_block_backward": [_norm_block(True), _norm_block(False)],
    "linear_block_backward": [
        Case(
            (FLAT, MATRIX, B),
            lambda x, w, b: (r.linear_block_forward(x, w, b),),
            lambda dy, y, x, w, b: r.linear_block_backward(dy, *y, x, w),
        )
    ],
}
for row in cases.ACTIVATIONS:
    CASES.setdefault(f"{row.operation}_backward", []).append(_activation(row))
