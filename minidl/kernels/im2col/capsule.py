"""Capsules: squash, routing by agreement, length and mask, each over the whole batch at once."""

from __future__ import annotations

from typing import Any

import numpy as np


def _squash(s: np.ndarray) -> np.ndarray:
    """s |s| / (1 + |s|^2) along the last axis."""
    square = np.einsum("...d,...d->...", s, s)[..., None]
    return s * (np.sqrt(square) / (1 + square))


def _squash_slope(dv: np.ndarray, s: np.ndarray) -> np.ndarray:
    """dv |s| / (1 + |s|^2) + s (s . dv) (1 - |s|^2) / (|s| (1 + |s|^2)^2) along the last axis, 0 where s = 0."""
    square = np.einsum("...d,...d->...", s, s)[..., None]
    length = np.sqrt(square)
    dot = np.einsum("...d,...d->...", s, dv)[..., None]
    along = np.divide(dot, length, where=length != 0, out=np.zeros_like(length))
    along *= (1 - square) / (1 + square) ** 2
    return dv * (length / (1 + square)) + s * along


def _columns(x: np.ndarray, dim: int) -> np.ndarray:
    """Maps (N, T*dim, H, W) or (N, T*dim) as (N, T, H*W, dim), sharing memory."""
    n, channels = x.shape[:2]
    area = int(np.prod(x.shape[2:]))
    return x.reshape(n, channels // dim, dim, area).swapaxes(2, 3)


def squash_forward(x: np.ndarray, dim: int) -> np.ndarray:
    s = _columns(x, dim)
    return np.ascontiguousarray(_squash(s)).reshape(s.shape[0], s.shape[1] * s.shape[2], dim)


def squash_backward(dy: np.ndarray, x: np.ndarray, dim: int) -> np.ndarray:
    s = _columns(x, dim)
    return np.ascontiguousarray(_squash_slope(dy.reshape(s.shape), s).swapaxes(2, 3)).reshape(x.shape)


def _softmax(b: np.ndarray) -> np.ndarray:
    c = np.exp(b - b.max(axis=2, keepdims=True))
    c /= c.sum(axis=2, keepdims=True)
    return c


def _votes(u: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(I, N, J*E): one matrix product for each capsule below, its row of the batch times its weights."""
    I, J, E, D = w.shape
    return np.matmul(u.swapaxes(0, 1), w.reshape(I, J * E, D).swapaxes(1, 2))


def capsules_forward(u: np.ndarray, w: np.ndarray, routings: int) -> tuple[np.ndarray, Any]:
    I, J, E, _ = w.shape
    votes = _votes(u, w).reshape(I, len(u), J, E)
    b = np.zeros((len(u), I, J), u.dtype)
    passes = []
    for _ in range(routings):
        c = _softmax(b)
        s = np.einsum("nij,inje->nje", c, votes)
        v = _squash(s)
        b += np.einsum("inje,nje->nij", votes, v)
        passes.append((c, s, v))
    return v, passes


def capsules_backward(
    dv: np.ndarray,
    saved: Any,
    u: np.ndarray,
    w: np.ndarray,
    routings: int,
    need_dx: bool = True,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray]:
    I, J, E, D = w.shape
    N = len(u)
    votes = _votes(u, w).reshape(I, N, J, E)
    dvotes = np.zeros_like(votes)
    db = np.zeros((N, I, J), u.dtype)
    for r in reversed(range(routings)):
        c, s, v = saved[r]
        upstream = np.einsum("nij,inje->nje", db, votes)
        if r == routings - 1:
            upstream += dv
        ds = _squash_slope(upstream, s)
        dvotes += np.einsum("nij,nje->inje", db, v)
        dvotes += np.einsum("nij,nje->inje", c, ds)
        dc = np.einsum("inje,nje->nij", votes, ds)
        db += c * (dc - np.sum(c * dc, axis=2, keepdims=True))
    dvotes = dvotes.reshape(I, N, J * E)
    dw = np.empty_like(w) if out is None else out
    np.matmul(dvotes.swapaxes(1, 2), u.swapaxes(0, 1), out=dw.reshape(I, J * E, D))
    if not need_dx:
        return None, dw
    return np.ascontiguousarray(np.matmul(dvotes, w.reshape(I, J * E, D)).swapaxes(0, 1)), dw


def capsule_length_forward(v: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("nje,nje->nj", v, v))


def capsule_length_backward(dy: np.ndarray, v: np.ndarray, y: np.ndarray) -> np.ndarray:
    return v * np.divide(dy, y, where=y != 0, out=np.zeros_like(y))[..., None]


def capsule_mask(v: np.ndarray, labels: np.ndarray) -> np.ndarray:
    y = np.zeros_like(v)
    rows = np.arange(len(v))
    y[rows, labels] = v[rows, labels]
    return y
