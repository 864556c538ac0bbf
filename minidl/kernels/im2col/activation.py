"""Element-wise activations; each backward function takes the forward's result y, that of gelu x.

gelu is x * Phi(x), and numpy has no error function. For t >= 0 the normal distribution's tail is
Phi(-t) = exp(-t^2 / 2) * u * Q(2u - 1) with u = 4 / (4 + t) in (0, 1]. Q = (1 + t/4) exp(t^2 / 2) Phi(-t) falls from
1/2 to 1 / (4 sqrt(2 pi)), so smoothly that a short polynomial equals it. Shepherd and Laframboise 1981 (Math. Comp. 36)
map [0, inf) in this way for (1 + 2x) exp(x^2) erfc(x).
"""

from __future__ import annotations

import numpy as np

TERMS32 = (
    *(1.88821283e-1, 1.51974158e-1, 9.67843485e-2, 4.6630540e-2, 1.50991621e-2, 1.88442929e-3, -8.69988659e-4),
    *(-4.05510026e-4, 3.34133468e-5, 5.38934441e-5, -4.32770575e-7, -5.29574606e-6),
)
TERMS64 = (
    *(1.8882128260393786e-1, 1.5197416049297307e-1, 9.678435018555665e-2, 4.6630464489909153e-2, 1.509914372259023e-2),
    *(1.8850472418465781e-3, -8.6992308916287566e-4, -4.0770461685247707e-4, 3.333605229003698e-5),
    *(5.7773754340693242e-5, -4.7691900767990063e-7, -8.7862779757081028e-6, 1.7865053828197512e-7),
    *(1.4804027614776147e-6, -1.5623877693950669e-7, -2.5619627540815891e-7, 6.6183432049741324e-8),
    *(3.9943490349472685e-8, -1.9695900856754766e-8, -4.4612319391183872e-9, 4.0168467392717043e-9),
    *(1.4684066755220077e-10, -4.2216442414602191e-10, 2.9994455336719975e-11),
)
"""Q from the lowest power: its Chebyshev series, found in 40 digits from erfc at 60 nodes and cut where the rest no
longer shows (2e-9 and 1.1e-16 of the tail). The native backend's element.h has the same."""

FAR = 40.0
"""Behind it the density is zero in float64 (and so in float32): x is held there, so that 0 * inf does not arise."""


def relu_forward(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, x.dtype.type(0))


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    # No product, which would turn an infinite dy into NaN.
    return np.where(y > 0, dy, dy.dtype.type(0))


def sigmoid_forward(x: np.ndarray) -> np.ndarray:
    # Exponentials of negative numbers only: exp(x) / (1 + exp(x)) on the left half.
    e = np.exp(-np.abs(x))
    y = np.where(x >= 0, x.dtype.type(1), e)
    e += 1
    y /= e
    return y


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    dx = 1 - y
    dx *= y
    dx *= dy
    return dx


def tanh_forward(x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    dx = np.square(y)
    np.subtract(1, dx, out=dx)
    dx *= dy
    return dx


def leaky_relu_forward(x: np.ndarray, slope: float) -> np.ndarray:
    return np.where(x > 0, x, x * x.dtype.type(slope))


def leaky_relu_backward(dy: np.ndarray, y: np.ndarray, slope: float) -> np.ndarray:
    return np.where(y > 0, dy, dy * dy.dtype.type(slope))


def elu_forward(x: np.ndarray, alpha: float) -> np.ndarray:
    # Nothing overflows, for the exponential is taken of min(x, 0).
    y = np.minimum(x, x.dtype.type(0))
    np.expm1(y, out=y)
    y *= alpha
    np.copyto(y, x, where=x > 0)
    return y


def elu_backward(dy: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    dx = y + y.dtype.type(alpha)
    dx *= dy
    np.copyto(dx, dy, where=y > 0)
    return dx


def gelu_forward(x: np.ndarray) -> np.ndarray:
    y, _ = _normal(x)
    y *= np.maximum(x, x.dtype.type(-FAR))
    return y


def gelu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    dx, e = _normal(x)
    e *= np.clip(x, -FAR, FAR)
    e *= x.dtype.type(1 / np.sqrt(2 * np.pi))
    dx += e
    dx *= dy
    return dx


def softplus_forward(x: np.ndarray) -> np.ndarray:
    y = np.exp(-np.abs(x))
    np.log1p(y, out=y)
    y += np.maximum(x, x.dtype.type(0))
    return y


def softplus_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    dx = np.expm1(-y)
    dx *= -dy
    return dx


def _normal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Phi(x) and exp(-x^2 / 2)."""
    t = np.minimum(np.abs(x), x.dtype.type(FAR))
    e = np.square(t)
    e *= -0.5
    with np.errstate(under="ignore"):
        np.exp(e, out=e)
        t += 4
        u = np.divide(4, t, out=t)
        s = 2 * u - 1
        terms = TERMS32 if x.dtype == np.float32 else TERMS64
        tail = np.full_like(x, terms[-1])
        for term in terms[-2::-1]:
            tail *= s
            tail += term
        tail *= u
        tail *= e
    return np.where(x > 0, 1 - tail, tail), e
