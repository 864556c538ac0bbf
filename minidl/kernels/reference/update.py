"""Optimiser updates in place, each as its formula.

g = scale * grad + weight_decay * p is the gradient of the loss, scaled where it is clipped, with the L2 cost
weight_decay/2 * sum p^2.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.together import one_by_one
from minidl.kernels.together import together as together


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
    """Momentum: Polyak 1964; Nesterov: Sutskever et al. 2013."""
    g = scale * grad + weight_decay * p
    if velocity is None:
        p -= lr * g
        return
    velocity[...] = momentum * velocity + g
    p -= lr * (g + momentum * velocity if nesterov else velocity)


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
    """Tieleman and Hinton 2012."""
    g = scale * grad + weight_decay * p
    square[...] = decay * square + (1 - decay) * g**2
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
    """Kingma and Ba 2015; decoupled weight decay: Loshchilov and Hutter 2019."""
    if decoupled:
        p *= 1 - lr * weight_decay
        g = scale * grad
    else:
        g = scale * grad + weight_decay * p
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * g**2
    m_corrected = m / (1 - beta1**step)
    v_corrected = v / (1 - beta2**step)
    p -= lr * m_corrected / (np.sqrt(v_corrected) + eps)


@one_by_one
def blend(a: np.ndarray, b: np.ndarray, share: float) -> None:
    a += share * (b - a)


def sum_of_squares(a: np.ndarray) -> float:
    """One square after the other, in float64."""
    total = 0.0
    for value in a.flat:
        total += float(value) * float(value)
    return total
