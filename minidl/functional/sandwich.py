"""The sandwich layers of CS231n: neighbours that usually stand together, as one operation of the backend.

Each forward gives y and a cache; the backward takes dy and that cache. A cache belongs to the backend that made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _ready
from minidl.functional._call import write_back
from minidl.kernels import checks
from minidl.kernels.checks import Shape, Sides, Size

Cache = tuple[Any, ...]


def affine_relu_forward(x: Any, w: Any, b: Any = None) -> tuple[np.ndarray, Cache]:
    """relu(x w^T + b) -> y (N, O), cache. x: (N, ...), F numbers an image. w: (O, F). b: (O,) or None."""
    who = "affine_relu_forward"
    (x,) = checks.floats(who, x=x)
    if x.ndim < 2:
        raise ValueError(f"{who}: x must have at least 2 dimensions (N, ...), got shape {x.shape}")
    flat, w, b = _ready.linear(who, x.reshape(x.shape[0], int(np.prod(x.shape[1:]))), w, b)
    backend = kernels.current()
    flat = backend.enter(flat)
    y = backend.linear_block_forward(flat, w, b)
    return backend.leave(y), (backend, y, flat, w, x.shape)


def affine_relu_backward(dy: Any, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> dx (N, ...), dw (O, F), db (O,)."""
    backend, y, flat, w, x_shape = checks.cache("affine_relu_backward", cache, 5)
    dy = _upstream("affine_relu_backward", dy, y.shape, w.dtype)
    dx, dw, db = backend.linear_block_backward(backend.enter(dy), y, flat, w)
    return backend.leave(dx).reshape(x_shape), dw, db


def conv_relu_forward(
    x: Any,
    w: Any,
    b: Any = None,
    stride: Size = 1,
    padding: Size | Sides | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> tuple[np.ndarray, Cache]:
    """relu(conv2d(x, w, b)) -> y (N, O, OH, OW), cache; arguments as in `conv2d_forward`."""
    return _conv_block("conv_relu_forward", x, w, b, (stride, padding, dilation, groups), None)


def conv_relu_backward(dy: Any, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> dx, dw, db as in `conv2d_backward`."""
    return _conv_block_backward("conv_relu_backward", dy, cache)


def conv_relu_pool_forward(
    x: Any,
    w: Any,
    b: Any = None,
    stride: Size = 1,
    padding: Size | Sides | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    pool: str = "max",
    pool_size: Size = 2,
    pool_stride: Size | None = None,
    pool_padding: Size | Sides | str = 0,
) -> tuple[np.ndarray, Cache]:
    """pool(relu(conv2d(x, w, b))) -> y, cache. pool: "max" or "avg"; pool_stride None: pool_size."""
    who = "conv_relu_pool_forward"
    if pool not in ("max", "avg"):
        raise ValueError(f'{who}: pool must be "max" or "avg", got {pool!r}')
    window = checks.pool_window(who, pool_size, pool_stride, pool_padding)
    return _conv_block(who, x, w, b, (stride, padding, dilation, groups), (pool, *window))


def conv_relu_pool_backward(dy: Any, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> dx, dw, db as in `conv2d_backward`."""
    return _conv_block_backward("conv_relu_pool_backward", dy, cache)


def conv_batchnorm_relu_forward(
    x: Any,
    w: Any,
    b: Any,
    gamma: Any,
    beta: Any,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    stride: Size = 1,
    padding: Size | Sides | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    momentum: float = 0.9,
    eps: float = 1e-5,
    train: bool = True,
) -> tuple[np.ndarray, Cache]:
    """relu(batchnorm(conv2d(x, w, b))) -> y (N, O, OH, OW), cache. Arguments: `conv2d_forward`, `batchnorm_forward`."""
    who = "conv_batchnorm_relu_forward"
    w = np.asarray(w)
    window = _ready.conv_window(who, w, stride, padding, dilation, groups)
    (x, w, b), (_, channels, _, _) = _ready.conv(who, x, w, b, window)
    momentum, eps = _ready.norm_settings(who, momentum, eps)
    x, gamma, beta, *running = _ready.norm(who, x, gamma, beta, running_mean, running_var, train)
    checks.per_channel(who, channels, gamma=gamma, beta=beta, running_mean=running[0], running_var=running[1])
    backend = kernels.current()
    x = backend.enter(x)
    z = backend.conv2d_forward(x, w, b, *window)
    y, saved = backend.norm_block_forward(z, gamma, beta, *running, momentum, eps, bool(train), True, None)
    if train:
        write_back([running_mean, running_var], running)
    return backend.leave(y), (backend, saved, x, w, z, gamma, bool(train), window, y.shape)


def conv_batchnorm_relu_backward(dy: Any, cache: Cache) -> tuple[np.ndarray, ...]:
    """-> dx, dw, db, dgamma, dbeta."""
    backend, saved, x, w, z, gamma, train, window, y_shape = checks.cache("conv_batchnorm_relu_backward", cache, 9)
    dy = _upstream("conv_batchnorm_relu_backward", dy, y_shape, w.dtype)
    dz, dgamma, dbeta = backend.norm_block_backward(backend.enter(dy), saved, z, gamma, train, True, None)
    dx, dw, db = backend.conv2d_backward(dz, x, w, *window)
    return backend.leave(dx), dw, db, dgamma, dbeta


def _conv_block(who: str, x: Any, w: Any, b: Any, window: Any, pool: Any) -> tuple[np.ndarray, Cache]:
    w = np.asarray(w)
    window = _ready.conv_window(who, w, *window)
    (x, w, b), shape = _ready.conv(who, x, w, b, window)
    if pool is not None:
        checks.pool2d_output(who, shape, *pool[1:])
    backend = kernels.current()
    x = backend.enter(x)
    y, saved = backend.conv_block_forward(x, w, b, *window, True, pool)
    return backend.leave(y), (backend, saved, x, w, window, pool, y.shape)


def _conv_block_backward(who: str, dy: Any, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    backend, saved, x, w, window, pool, y_shape = checks.cache(who, cache, 7)
    dy = _upstream(who, dy, y_shape, w.dtype)
    dx, dw, db = backend.conv_block_backward(backend.enter(dy), saved, x, w, *window, True, pool)
    return backend.leave(dx), dw, db


def _upstream(who: str, dy: Any, shape: Shape, dtype: np.dtype) -> np.ndarray:
    (dy,) = checks.floats(who, dy=dy)
    if dy.dtype != dtype:
        raise TypeError(f"{who}: dy must have the forward's dtype {dtype}, got {dy.dtype}")
    checks.same_shape(who, "dy", dy.shape, shape, "the output's")
    return dy
