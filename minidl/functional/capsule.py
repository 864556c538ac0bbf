"""Capsules: squash, routing by agreement, length and mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.functional._call import call
from minidl.kernels import checks


def _maps(who: str, x: np.ndarray, dim: Any) -> tuple[tuple[int, ...], int]:
    """The shape of the capsules in maps x, and a checked dim."""
    checks.ndim(who, "x", x.shape, "(N, C, H, W) or (N, F)", 2, 4)
    dim = checks.integer(who, "dim", dim, 1)
    if x.shape[1] % dim:
        raise ValueError(f"{who}: dim must divide the channels of x {x.shape}, got {dim}")
    return (x.shape[0], x.shape[1] // dim * int(np.prod(x.shape[2:])), dim), dim


def squash_forward(x: Any, dim: int) -> np.ndarray:
    """squash(s) = s |s| / (1 + |s|^2) of the capsules in maps: (N, T*dim, H, W) or (N, T*dim) -> (N, T*H*W, dim).

    Channels t*dim to (t + 1)*dim - 1 of a pixel are capsule t*H*W + h*W + w.
    """
    who = "squash_forward"
    (x,) = checks.floats(who, x=x)
    _, dim = _maps(who, x, dim)
    return call(who, x, dim)


def squash_backward(dy: Any, x: Any, dim: int) -> np.ndarray:
    """dx of maps x for dy (N, T*H*W, dim), 0 where a capsule is 0."""
    who = "squash_backward"
    dy, x = checks.floats(who, dy=dy, x=x)
    shape, dim = _maps(who, x, dim)
    checks.same_shape(who, "dy", dy.shape, shape, "the capsules of x")
    return call(who, dy, x, dim)


def capsules_forward(u: Any, w: Any, routings: int = 3) -> tuple[np.ndarray, Any]:
    """Routing by agreement -> v (N, J, E) and a cache for `capsules_backward`; see `minidl.Capsules`.

    u: (N, I, D) capsules below. w: (I, J, E, D). routings: passes, at least 1.
    """
    who = "capsules_forward"
    u, w = checks.floats(who, u=u, w=w)
    checks.ndim(who, "u", u.shape, "(N, I, D)", 3)
    checks.ndim(who, "w", w.shape, "(I, J, E, D)", 4)
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
    (dv,) = checks.floats(who, dv=dv)
    backend, saved, u, w, routings = checks.cache(who, cache, 5)
    checks.same_shape(who, "dv", dv.shape, (u.shape[0], *w.shape[1:3]), "v's")
    if dv.dtype != w.dtype:
        raise TypeError(f"{who}: dv must have u's dtype {w.dtype}, got {dv.dtype}")
    du, dw = backend.capsules_backward(backend.enter(dv), saved, u, w, routings)
    return backend.leave(du), dw


def capsule_length_forward(v: Any) -> np.ndarray:
    """(N, J, E) -> (N, J): |v|."""
    who = "capsule_length_forward"
    (v,) = checks.floats(who, v=v)
    checks.ndim(who, "v", v.shape, "(N, J, E)", 3)
    return call(who, v)


def capsule_length_backward(dy: Any, v: Any, y: Any) -> np.ndarray:
    """dv = dy v / y for dy and y (N, J), 0 where y = 0."""
    who = "capsule_length_backward"
    dy, v, y = checks.floats(who, dy=dy, v=v, y=y)
    checks.ndim(who, "v", v.shape, "(N, J, E)", 3)
    checks.same_shape(who, "dy", dy.shape, v.shape[:2], "one number a capsule of v")
    checks.same_shape(who, "y", y.shape, v.shape[:2], "one number a capsule of v")
    return call(who, dy, v, y)


def capsule_mask(v: Any, labels: Any) -> np.ndarray:
    """Zeros in all capsules of v (N, J, E) but those of the labels, (N,) integers in [0, J)."""
    who = "capsule_mask"
    (v,) = checks.floats(who, v=v)
    checks.ndim(who, "v", v.shape, "(N, J, E)", 3)
    checks.same_shape(who, "labels", np.shape(labels), v.shape[:1], "one an image")
    chosen = checks.class_targets(who, labels, v.shape[0], v.shape[1], v.dtype)
    return call(who, v, chosen)
