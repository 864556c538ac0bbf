"""Optimiser updates, in place; g = scale * grad + weight_decay * p."""

from __future__ import annotations

import numpy as np

from minidl.kernels.together import one_by_one
from minidl.kernels.together import together as together


def _gradient(p: np.ndarray, grad: np.ndarray, weight_decay: float, scale: float) -> np.ndarray:
    g = scale * grad if scale != 1 else grad
    return g + weight_decay * p if weight_decay else g


@one_by_one
def sgd_update(
    p: np.ndarray,
    grad: np.ndarray,
    velocity: np.ndarray | None,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
    scale: float = 1.0,
) -> None:
    g = _gradient(p, grad, weight_decay, scale)
    if velocity is None:
        p -= lr * g
        return
    velocity *= momentum
    velocity += g
    p -= lr * (g + momentum * velocity) if nesterov else lr * velocity


@one_by_one
def rmsprop_update(
    p: np.ndarray,
    grad: np.ndarray,
    square: np.ndarray,
    lr: float,
    decay: float,
    eps: float,
    weight_decay: float,
    scale: float = 1.0,
) -> None:
    g = _gradient(p, grad, weight_decay, scale)
    square *= decay
    square += (1 - decay) * np.square(g)
    p -= lr * g / (np.sqrt(square) + eps)


@one_by_one
def adam_update(
    p: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool = False,
    scale: float = 1.0,
) -> None:
    if decoupled:
        p *= 1 - lr * weight_decay
        g = _gradient(p, grad, 0.0, scale)
    else:
        g = _gradient(p, grad, weight_decay, scale)
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * np.square(g)
    p -= lr / (1 - beta1**step) * m / (np.sqrt(v / (1 - beta2**step)) + eps)


@one_by_one
def blend(a: np.ndarray, b: np.ndarray, share: float) -> None:
    a += share * (b - a)


def sum_of_squares(a: np.ndarray) -> float:
    return float(np.square(a, dtype=np.float64).sum())
