"""Capsules: squash, routing by agreement, length, mask, and the losses of a capsule network."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional import _check
from minidl.kernels import checks


def _maps(who: str, x: np.ndarray, dim: Any) -> tuple[tuple[int, ...], int]:
    """The shape of the capsules in maps x, and a checked dim."""
    _check.ndim(who, "x", x, "(N, C, H, W) or (N, F)", 2, 4)
    dim = checks.integer(who, "dim", dim, 1)
    if x.shape[1] % dim:
        raise ValueError(f"{who}: dim must divide the channels of x {x.shape}, got {dim}")
    return (x.shape[0], x.shape[1] // dim * int(np.prod(x.shape[2:])), dim), dim


def squash_forward(x: Any, dim: int) -> np.ndarray:
    """squash(s) = s |s| / (1 + |s|^2) of the capsules in maps: (N, T*dim, H, W) or (N, T*dim) -> (N, T*H*W, dim).

    Channels t*dim to (t + 1)*dim - 1 of a pixel are capsule t*H*W + h*W + w.
    """
    who = "squash_forward"
    (x,) = _check.floats(who, x=x)
    _, dim = _maps(who, x, dim)
    backend = kernels.current()
    return backend.leave(backend.squash_forward(backend.enter(x), dim))


def squash_backward(dy: Any, x: Any, dim: int) -> np.ndarray:
    """dx of maps x for dy (N, T*H*W, dim), 0 where a capsule is 0."""
    who = "squash_backward"
    dy, x = _check.floats(who, dy=dy, x=x)
    shape, dim = _maps(who, x, dim)
    checks.same_shape(who, "dy", dy.shape, shape, "the capsules of x")
    backend = kernels.current()
    return backend.leave(backend.squash_backward(backend.enter(dy), backend.enter(x), dim))


def capsules_forward(u: Any, w: Any, routings: int = 3) -> tuple[np.ndarray, Any]:
    """Routing by agreement -> v (N, J, E) and a cache for `capsules_backward`; see `minidl.Capsules`.

    u: (N, I, D) capsules below. w: (I, J, E, D). routings: passes, at least 1.
    """
    who = "capsules_forward"
    u, w = _check.floats(who, u=u, w=w)
    _check.ndim(who, "u", u, "(N, I, D)", 3)
    _check.ndim(who, "w", w, "(I, J, E, D)", 4)
    if (w.shape[0], w.shape[3]) != u.shape[1:] or min(w.shape) < 1:
        raise ValueError(f"{who}: w must have shape (I, J, E, D), none of them 0, for u {u.shape}, got {w.shape}")
    routings = checks.integer(who, "routings", routings, 1)
    backend = kernels.current()
    entered = backend.enter(u)
    v, saved = backend.capsules_forward(entered, w, routings)
    return backend.leave(v), (backend, saved, entered, w, routings)


def capsules_backward(dv: Any, cache: Any) -> tuple[np.ndarray, np.ndarray]:
    """-> du, dw for dv (N, J, E) and the cache of `capsules_forward`, on the backend that made it."""
    who = "capsules_backward"
    (dv,) = _check.floats(who, dv=dv)
    backend, saved, u, w, routings = cache
    checks.same_shape(who, "dv", dv.shape, (u.shape[0], *w.shape[1:3]), "v's")
    if dv.dtype != w.dtype:
        raise TypeError(f"{who}: dv must have u's dtype {w.dtype}, got {dv.dtype}")
    du, dw = backend.capsules_backward(backend.enter(dv), saved, u, w, routings)
    return backend.leave(du), dw


def capsule_length_forward(v: Any) -> np.ndarray:
    """(N, J, E) -> (N, J): |v|."""
    who = "capsule_length_forward"
    (v,) = _check.floats(who, v=v)
    _check.ndim(who, "v", v, "(N, J, E)", 3)
    backend = kernels.current()
    return backend.leave(backend.capsule_length_forward(backend.enter(v)))


def capsule_length_backward(dy: Any, v: Any, y: Any) -> np.ndarray:
    """dv = dy v / y for dy and y (N, J), 0 where y = 0."""
    who = "capsule_length_backward"
    dy, v, y = _check.floats(who, dy=dy, v=v, y=y)
    _check.ndim(who, "v", v, "(N, J, E)", 3)
    checks.same_shape(who, "dy", dy.shape, v.shape[:2], "one number a capsule of v")
    checks.same_shape(who, "y", y.shape, v.shape[:2], "one number a capsule of v")
    backend = kernels.current()
    return backend.leave(backend.capsule_length_backward(*map(backend.enter, (dy, v, y))))


def capsule_mask(v: Any, labels: Any) -> np.ndarray:
    """Zeros in all capsules of v (N, J, E) but those of the labels, (N,) integers in [0, J)."""
    who = "capsule_mask"
    (v,) = _check.floats(who, v=v)
    _check.ndim(who, "v", v, "(N, J, E)", 3)
    checks.same_shape(who, "labels", np.shape(labels), v.shape[:1], "one an image")
    chosen = checks.class_targets(who, labels, v.shape[0], v.shape[1], v.dtype)
    backend = kernels.current()
    return backend.leave(backend.capsule_mask(backend.enter(v), chosen))


def margin_loss(
    lengths: Any, target: Any, present: float = 0.9, absent: float = 0.1, weight: float = 0.5
) -> tuple[float, np.ndarray, int]:
    """1/N sum_n sum_k t max(0, present - x)^2 + weight (1 - t) max(0, x - absent)^2 -> loss, dlengths, correct rows.

    lengths: x (N, K). target: t, (N,) integers in [0, K), or (N, K). A row is correct if its first largest length
    stands at the target. N = 0: loss 0.
    """
    who = "margin_loss"
    (lengths,) = _check.floats(who, lengths=lengths)
    _check.ndim(who, "lengths", lengths, "(N, K)", 2)
    if lengths.shape[1] < 1:
        raise ValueError(f"{who}: lengths must have at least 1 class, got shape {lengths.shape}")
    target = checks.class_targets(who, target, lengths.shape[0], lengths.shape[1], lengths.dtype)
    settings = {"present": present, "absent": absent, "weight": weight}
    numbers = [checks.real(who, name, value, "a finite number", lambda _: True) for name, value in settings.items()]
    backend = kernels.current()
    loss, dlengths, correct = backend.margin_loss(backend.enter(lengths), target, *numbers)
    return loss, backend.leave(dlengths), correct


def squared_error(x: Any, target: Any, scale: float = 1.0) -> tuple[float, np.ndarray]:
    """loss = scale/N sum (x - target)^2 -> loss, dx = 2 scale (x - target) / N. x, target: of one shape (N, ...)."""
    who = "squared_error"
    x, target = _check.floats(who, x=x, target=target)
    if x.ndim < 1:
        raise ValueError(f"{who}: x must have at least 1 dimension (N, ...), got shape {x.shape}")
    checks.same_shape(who, "target", target.shape, x.shape, "x's")
    scale = checks.real(who, "scale", scale, "a finite number", lambda _: True)
    backend = kernels.current()
    loss, dx = backend.squared_error(backend.enter(x), backend.enter(target), scale)
    return loss, backend.leave(dx)
