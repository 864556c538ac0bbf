"""Check the functions of a CS231n assignment against minidl's: python tools/check_cs231n.py FOLDER

FOLDER is the assignment's second one, with the package `cs231n` and your `layers.py` and `optim.py` in it. For each
notebook, a line a function: the largest difference as a share of the larger value, and whether it is small enough; what
you have not written yet is named. Ends with the exit status 1 where something is wrong.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from minidl import functional

TOLERANCE = 1e-7
"""Largest difference of two ways to compute the same in float64."""

Pairs = Iterator[tuple[Any, Any]]
"""What the student's function gave, and what minidl's did."""


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal random numbers in float64."""
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def difference(mine: Any, right: Any) -> float:
    """The largest difference, each as a share of the larger of both; infinite for another shape."""
    mine, right = np.asarray(mine, float), np.asarray(right, float)
    if mine.shape != right.shape:
        return np.inf
    share = np.abs(mine - right) / np.maximum(1e-8, np.abs(mine) + np.abs(right))
    return float(np.nan_to_num(share, nan=np.inf).max(initial=0))


def affine(m: ModuleType) -> Pairs:
    """affine_forward, affine_backward"""
    x, w, b, dy = drawn(4, 2, 3), drawn(6, 5), drawn(5), drawn(4, 5)
    y, cache = m.affine_forward(x, w, b)
    yield y, functional.linear_forward(x.reshape(4, -1), w.T.copy(), b)
    dx, dw, db = functional.linear_backward(dy, x.reshape(4, -1), w.T.copy())
    yield from zip(m.affine_backward(dy, cache), (dx.reshape(x.shape), dw.T, db), strict=True)


def relu(m: ModuleType) -> Pairs:
    """relu_forward, relu_backward"""
    x, dy = drawn(4, 5), drawn(4, 5, seed=1)
    y, cache = m.relu_forward(x)
    yield y, functional.relu_forward(x)
    yield m.relu_backward(dy, cache), functional.relu_backward(dy, functional.relu_forward(x))


def softmax(m: ModuleType) -> Pairs:
    """softmax_loss"""
    scores, labels = 10 * drawn(6, 4), np.array([0, 3, 1, 2, 2, 0])
    yield from zip(m.softmax_loss(scores, labels), functional.softmax_cross_entropy(scores, labels)[:2], strict=True)


def steps(rule: Callable[..., Any], update: Callable[[np.ndarray, np.ndarray, int], None], rate: float) -> Pairs:
    """Three steps of an update rule, whose state is in its config."""
    mine, right = drawn(3, 4), drawn(3, 4)
    config: Any = {"learning_rate": rate}
    for step in (1, 2, 3):
        gradient = drawn(3, 4, seed=step)
        mine, config = rule(mine, gradient.copy(), config)
        update(right, gradient, step)
        yield mine, right


def momentum(m: ModuleType) -> Pairs:
    """sgd_momentum"""
    v = np.zeros((3, 4))
    yield from steps(m.sgd_momentum, lambda p, g, _: functional.sgd_update(p, g, v, 0.05, 0.9), 0.05)


def rmsprop(m: ModuleType) -> Pairs:
    """rmsprop"""
    s = np.zeros((3, 4))
    yield from steps(m.rmsprop, lambda p, g, _: functional.rmsprop_update(p, g, s, 0.01, 0.99, 1e-8), 0.01)


def adam(m: ModuleType) -> Pairs:
    """adam"""
    a, b = np.zeros((2, 3, 4))
    yield from steps(m.adam, lambda p, g, step: functional.adam_update(p, g, a, b, step, 0.01), 0.01)


def batchnorm(m: ModuleType, spatial: bool = False, alternative: bool = False) -> Pairs:
    """batchnorm_forward, batchnorm_backward"""
    x = 3 * drawn(4, 3, 5, 2) + 2 if spatial else 3 * drawn(6, 3) + 2
    gamma, beta, dy = drawn(3), drawn(3, seed=1), drawn(*x.shape, seed=2)
    forward, back = ("spatial_" * spatial + f"batchnorm_{name}" for name in ("forward", "backward"))
    run, running = {"mode": "train"}, (np.zeros(3), np.zeros(3))
    y, cache = getattr(m, forward)(x, gamma, beta, run)
    right, mean, inv_std = functional.batchnorm_forward(x, gamma, beta, *running, 0.9, 1e-5, True)
    yield y, right
    yield run["running_mean"], running[0]
    yield run["running_var"], running[1]
    gradients = functional.batchnorm_backward(dy, x, gamma, mean, inv_std)
    yield from zip(getattr(m, back + "_alt" * alternative)(dy, cache), gradients, strict=True)
    test = getattr(m, forward)(x, gamma, beta, {**run, "mode": "test"})[0]
    yield test, functional.batchnorm_forward(x, gamma, beta, *running, 0.9, 1e-5, False)[0]


def batchnorm_alt(m: ModuleType) -> Pairs:
    """batchnorm_backward_alt"""
    yield from batchnorm(m, alternative=True)


def spatial_batchnorm(m: ModuleType) -> Pairs:
    """spatial_batchnorm_forward, spatial_batchnorm_backward"""
    yield from batchnorm(m, spatial=True)


def layernorm(m: ModuleType) -> Pairs:
    """layernorm_forward, layernorm_backward"""
    x, gamma, beta, dy = 3 * drawn(4, 6) + 2, drawn(6), drawn(6, seed=1), drawn(4, 6, seed=2)
    y, cache = m.layernorm_forward(x, gamma, beta, {})
    right, mean, inv_std = functional.layernorm_forward(x, gamma, beta, 1e-5)
    yield y, right
    yield from zip(
        m.layernorm_backward(dy, cache), functional.layernorm_backward(dy, x, gamma, mean, inv_std), strict=True
    )


def groupnorm(m: ModuleType) -> Pairs:
    """spatial_groupnorm_forward, spatial_groupnorm_backward"""
    x, gamma, beta, dy = 3 * drawn(2, 6, 3, 4) + 2, drawn(6), drawn(6, seed=1), drawn(2, 6, 3, 4, seed=2)
    y, cache = m.spatial_groupnorm_forward(x, gamma.reshape(1, 6, 1, 1), beta.reshape(1, 6, 1, 1), 2, {})
    right, mean, inv_std = functional.groupnorm_forward(x, gamma, beta, 2, 1e-5)
    yield y, right
    gradients = functional.groupnorm_backward(dy, x, gamma, mean, inv_std)
    for mine, expected in zip(m.spatial_groupnorm_backward(dy, cache), gradients, strict=True):
        yield np.reshape(mine, expected.shape), expected


def dropout(m: ModuleType) -> Pairs:
    """dropout_forward, dropout_backward"""
    x, p = np.ones((200, 200)), 0.75  # p is the share that is kept
    y, cache = m.dropout_forward(x, {"mode": "train", "p": p, "seed": 1})
    yield np.unique(y), [0, 1 / p]
    yield abs((np.asarray(y) > 0).mean() - p) < 0.02, True
    yield m.dropout_backward(2 * x, cache), 2 * np.asarray(y)
    yield m.dropout_forward(x, {"mode": "test", "p": p})[0], x


def convolution(m: ModuleType) -> Pairs:
    """conv_forward_naive, conv_backward_naive"""
    x, w, b = drawn(2, 3, 6, 5), drawn(4, 3, 4, 3), drawn(4)
    y, cache = m.conv_forward_naive(x, w, b, {"stride": 2, "pad": 1})
    right = functional.conv2d_forward(x, w, b, stride=2, padding=1)
    yield y, right
    dy = drawn(*right.shape)
    yield from zip(
        m.conv_backward_naive(dy, cache), functional.conv2d_backward(dy, x, w, stride=2, padding=1), strict=True
    )


def max_pool(m: ModuleType) -> Pairs:
    """max_pool_forward_naive, max_pool_backward_naive"""
    x = drawn(2, 3, 6, 7)
    y, cache = m.max_pool_forward_naive(x, {"pool_height": 2, "pool_width": 3, "stride": 2})
    right, argmax = functional.maxpool2d_forward(x, (2, 3), 2)
    yield y, right
    dy = drawn(*right.shape)
    yield m.max_pool_backward_naive(dy, cache), functional.maxpool2d_backward(dy, argmax, x.shape, (2, 3), 2)


NOTEBOOKS = {
    "FullyConnectedNets": {"layers": [affine, relu, softmax], "optim": [momentum, rmsprop, adam]},
    "BatchNormalization": {"layers": [batchnorm, batchnorm_alt, layernorm]},
    "Dropout": {"layers": [dropout]},
    "ConvolutionalNetworks": {"layers": [convolution, max_pool, spatial_batchnorm, groupnorm]},
}
"""The checks of each notebook, by the student's module."""


def result(check: Callable[[ModuleType], Pairs], module: ModuleType) -> tuple[str, bool]:
    """What is to be said of a check, and whether it is a fault."""
    missing = [name for name in (check.__doc__ or "").split(", ") if not hasattr(module, name)]
    if missing:
        return f"there is no {missing[0]}", False
    largest = 0.0
    try:
        for mine, right in check(module):
            if mine is None:  # what the assignment's own files give before one has written anything
                return "not written yet", False
            largest = max(largest, difference(mine, right))
    except Exception as error:
        return f"{type(error).__name__}: {error}", True
    return f"{largest:.1e}  {'ok' if largest < TOLERANCE else 'WRONG'}", largest >= TOLERANCE


def main() -> None:
    """Check the assignment in the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/check_cs231n.py FOLDER")
    sys.path.insert(0, sys.argv[1])
    faults = 0
    for notebook, modules in NOTEBOOKS.items():
        print(notebook)
        for name, checks in modules.items():
            module = importlib.import_module(f"cs231n.{name}")
            for check in checks:
                said, wrong = result(check, module)
                faults += wrong
                print(f"  {check.__doc__:54} {said}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
