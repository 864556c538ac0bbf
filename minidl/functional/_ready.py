"""Arguments made ready for a kernel, where an operation and a sandwich around it take the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.kernels.checks import Padding, Pair, Sides, Size


def conv_window(
    who: str, w: np.ndarray, stride: Size, padding: Size | Sides | str, dilation: Size, groups: int
) -> tuple[Pair, Padding, Pair, int]:
    """The settings of a convolution with the weights w."""
    kernel = (w.shape[2], w.shape[3]) if w.ndim == 4 else (1, 1)
    return checks.conv_window(who, stride, padding, dilation, groups, kernel)


def conv(
    who: str, x: Any, w: Any, b: Any, window: tuple[Pair, Padding, Pair, int]
) -> tuple[list[Any], tuple[int, int, int, int]]:
    """x, w, b of a convolution, and its output's shape."""
    arrays = checks.floats(who, x=x, w=w, b=b)
    shape = checks.conv2d_output(who, arrays[0].shape, arrays[1].shape, *window)
    checks.per_channel(who, shape[1], b=arrays[2])
    return arrays, shape


def linear(who: str, x: Any, w: Any, b: Any) -> list[Any]:
    """x (N, F), w (O, F), b (O,) or None."""
    x, w, b = checks.floats(who, x=x, w=w, b=b)
    checks.per_channel(who, checks.linear_output(who, x.shape, w.shape)[1], b=b)
    return [x, w, b]


def norm(who: str, x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, train: bool) -> list[Any]:
    """x, gamma, beta and the running statistics; in training the latter must be writeable."""
    if train:
        checks.writeable(who, running_mean=running_mean, running_var=running_var)
    return checks.floats(who, x=x, gamma=gamma, beta=beta, running_mean=running_mean, running_var=running_var)


def norm_settings(who: str, momentum: float, eps: float) -> tuple[float, float]:
    """momentum and eps."""
    return (
        checks.real(who, "momentum", momentum, "in [0, 1]", lambda m: 0 <= m <= 1),
        checks.real(who, "eps", eps, "positive", lambda e: e > 0),
    )


def same_batch(who: str, xs: Any) -> list[np.ndarray]:
    """The arrays of a list, ready, of one dtype and as many images each."""
    if not isinstance(xs, (tuple, list)) or not xs:
        raise ValueError(f"{who}: xs must be a list of at least 1 array, got {xs!r:.80}")
    ready = checks.floats(who, **{f"xs[{number}]": x for number, x in enumerate(xs)})
    for number, x in enumerate(ready):
        if not x.ndim or len(x) != len(ready[0]):
            raise ValueError(f"{who}: xs[{number}] must have {len(ready[0])} images as xs[0], got shape {x.shape}")
    return ready
