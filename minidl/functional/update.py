"""Optimiser updates, in place on plain arrays of one shape; g = scale * grad + weight_decay * p.

scale, at least 0, is for clipped gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call, write_back
from minidl.kernels import checks


def sgd_update(
    p: np.ndarray,
    grad: Any,
    velocity: np.ndarray | None = None,
    lr: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    scale: float = 1.0,
) -> None:
    """v = momentum * v + g; p -= lr * v (nesterov: p -= lr * (g + momentum * v)); without velocity p -= lr * g."""
    who = "sgd_update"
    lr, weight_decay, scale = _sizes(who, lr=lr, weight_decay=weight_decay, scale=scale)
    (momentum,) = _rates(who, momentum=momentum)
    _update(who, p, grad, {"velocity": velocity}, lr, momentum, weight_decay, bool(nesterov), scale)


def rmsprop_update(
    p: np.ndarray,
    grad: Any,
    square: np.ndarray,
    lr: float = 0.001,
    decay: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    scale: float = 1.0,
) -> None:
    """s = decay * s + (1 - decay) g^2; p -= lr * g / (sqrt(s) + eps)."""
    who = "rmsprop_update"
    lr, eps, weight_decay, scale = _sizes(who, lr=lr, eps=eps, weight_decay=weight_decay, scale=scale)
    (decay,) = _rates(who, decay=decay)
    _update(who, p, grad, {"square": square}, lr, decay, eps, weight_decay, scale)


def adam_update(
    p: np.ndarray,
    grad: Any,
    m: np.ndarray,
    v: np.ndarray,
    step: int,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    scale: float = 1.0,
) -> None:
    """Adam with bias correction: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    p -= lr * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps).

    step counts from 1. decoupled (AdamW): g = scale * grad, and p is first multiplied by 1 - lr * weight_decay.
    """
    who = "adam_update"
    step = checks.integer(who, "step", step, 1)
    lr, eps, weight_decay, scale = _sizes(who, lr=lr, eps=eps, weight_decay=weight_decay, scale=scale)
    beta1, beta2 = _rates(who, beta1=beta1, beta2=beta2)
    _update(who, p, grad, {"m": m, "v": v}, step, lr, beta1, beta2, eps, weight_decay, bool(decoupled), scale)


def blend(a: np.ndarray, b: Any, share: float) -> None:
    """a += share * (b - a), a step of a running average. share: in [0, 1]."""
    who = "blend"
    share = checks.real(who, "share", share, "in [0, 1]", lambda s: 0 <= s <= 1)
    checks.writeable(who, a=a)
    ready, b = checks.floats(who, a=a, b=b)
    checks.same_shape(who, "b", b.shape, ready.shape, "a's")
    call(who, ready, b, share)
    write_back([a], [ready])


def sum_of_squares(a: Any) -> float:
    """Sum of a^2 over all elements of an array of any shape, added in float64."""
    who = "sum_of_squares"
    return call(who, checks.float_array(who, "a", a))


def _sizes(who: str, **numbers: float) -> list[float]:
    return [checks.real(who, name, number, "at least 0", lambda a: a >= 0) for name, number in numbers.items()]


def _rates(who: str, **numbers: float) -> list[float]:
    return [checks.real(who, name, number, "in [0, 1)", lambda r: 0 <= r < 1) for name, number in numbers.items()]


def _update(who: str, p: np.ndarray, grad: Any, slots: dict[str, Any], *settings: Any) -> None:
    originals = [p, *slots.values()]
    checks.writeable(who, p=p, **slots)
    p, grad, *state = checks.floats(who, p=p, grad=grad, **slots)
    for name, array in zip(("grad", *slots), (grad, *state), strict=True):
        if array is not None:
            checks.same_shape(who, name, array.shape, p.shape, "p's")
    call(who, p, grad, *state, *settings)
    write_back(originals, [p, *state])
