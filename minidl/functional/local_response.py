"""Local response normalisation on NCHW arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks


def local_response_forward(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> np.ndarray:
    """y[n,c] = x[n,c] / (k + alpha/size * the sum of x^2 over `size` channels around c)^beta; x and y (N, C, H, W).

    The channels are c - size // 2 up to c + (size - 1) // 2, as far as there are such (PyTorch's rule; ONNX's for odd
    sizes). k: positive, alpha, beta: at least 0.
    """
    who = "local_response_forward"
    (x,) = checks.floats(who, x=x)
    checks.image_shape(who, x.shape)
    return call(who, x, *_settings(who, size, alpha, beta, k))


def local_response_backward(
    dy: Any, x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> np.ndarray:
    """dx of `local_response_forward` for dy, all (N, C, H, W)."""
    who = "local_response_backward"
    dy, x = checks.floats(who, dy=dy, x=x)
    checks.image_shape(who, x.shape)
    checks.same_shape(who, "dy", dy.shape, x.shape, "x's")
    return call(who, dy, x, *_settings(who, size, alpha, beta, k))


def _settings(who: str, size: int, alpha: float, beta: float, k: float) -> tuple[int, float, float, float]:
    return (
        checks.integer(who, "size", size, 1),
        checks.real(who, "alpha", alpha, "at least 0", lambda a: a >= 0),
        checks.real(who, "beta", beta, "at least 0", lambda b: b >= 0),
        checks.real(who, "k", k, "positive", lambda k: k > 0),
    )
