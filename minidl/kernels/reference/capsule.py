"""Capsules, one image after the other. Sabour, Frosst, Hinton 2017, "Dynamic routing between capsules"
(arXiv 1710.09829): squash is its equation 1, routing its procedure 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def squash(s: np.ndarray) -> np.ndarray:
    """s |s| / (1 + |s|^2): the direction of the vector s, and a length below 1."""
    length = np.sqrt(np.sum(s * s))
    return s * length / (1 + length * length)


def squash_slope(dv: np.ndarray, s: np.ndarray) -> np.ndarray:
    """ds for v = squash(s): dv |s| / (1 + |s|^2) + s (s . dv) (1 - |s|^2) / (|s| (1 + |s|^2)^2)."""
    length = np.sqrt(np.sum(s * s))
    if length == 0:
        return np.zeros_like(s)
    along = np.sum(s * dv) * (1 - length**2) / (length * (1 + length**2) ** 2)
    return dv * length / (1 + length**2) + s * along


def squash_forward(x: np.ndarray, dim: int) -> np.ndarray:
    maps = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    N, C, A = maps.shape
    y = np.zeros((N, C // dim * A, dim), x.dtype)
    for n in range(N):
        for t in range(C // dim):
            for a in range(A):
                y[n, t * A + a] = squash(maps[n, t * dim : (t + 1) * dim, a])
    return y


def squash_backward(dy: np.ndarray, x: np.ndarray, dim: int) -> np.ndarray:
    maps = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    N, C, A = maps.shape
    dx = np.zeros_like(maps)
    for n in range(N):
        for t in range(C // dim):
            channels = slice(t * dim, (t + 1) * dim)
            for a in range(A):
                dx[n, channels, a] = squash_slope(dy[n, t * A + a], maps[n, channels, a])
    return dx.reshape(x.shape)


def capsule_votes(u: np.ndarray, w: np.ndarray) -> np.ndarray:
    """What each capsule of one image predicts for each capsule above: u (I, D), w (I, J, E, D) -> (I, J, E)."""
    I, J, E, _ = w.shape
    votes = np.zeros((I, J, E), u.dtype)
    for i in range(I):
        for j in range(J):
            votes[i, j] = w[i, j] @ u[i]
    return votes


def softmax(b: np.ndarray) -> np.ndarray:
    """exp(b) / sum exp(b) of each row, shifted by its maximum."""
    e = np.exp(b - b.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def capsules_forward(u: np.ndarray, w: np.ndarray, routings: int) -> tuple[np.ndarray, Any]:
    """u (N, I, D), w (I, J, E, D) -> v (N, J, E), and for each image its passes as (c, s, v)."""
    N = len(u)
    I, J, E, _ = w.shape
    y = np.zeros((N, J, E), u.dtype)
    saved = []
    for n in range(N):
        votes = capsule_votes(u[n], w)
        b = np.zeros((I, J), u.dtype)
        passes = []
        for _ in range(routings):
            c = softmax(b)
            s = np.zeros((J, E), u.dtype)
            v = np.zeros((J, E), u.dtype)
            for j in range(J):
                for i in range(I):
                    s[j] += c[i, j] * votes[i, j]
                v[j] = squash(s[j])
                for i in range(I):
                    b[i, j] += np.sum(votes[i, j] * v[j])
            passes.append((c, s, v))
        y[n] = v
        saved.append(passes)
    return y, saved


def capsules_backward(
    dv: np.ndarray,
    saved: Any,
    u: np.ndarray,
    w: np.ndarray,
    routings: int,
    need_dx: bool = True,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray]:
    """dv (N, J, E) -> du (N, I, D) (None unless need_dx), dw (I, J, E, D): the passes in reverse."""
    dw = np.zeros_like(w) if out is None else out
    dw[...] = 0
    du = np.zeros_like(u)
    I, J = w.shape[:2]
    for n in range(len(u)):
        votes = capsule_votes(u[n], w)
        dvotes = np.zeros_like(votes)
        db = np.zeros((I, J), u.dtype)  # of the logits after the pass; those after the last reach nothing
        for r in reversed(range(routings)):
            c, s, v = saved[n][r]
            dc = np.zeros_like(c)
            for j in range(J):
                upstream = dv[n, j].copy() if r == routings - 1 else np.zeros_like(s[j])
                for i in range(I):
                    upstream += db[i, j] * votes[i, j]
                    dvotes[i, j] += db[i, j] * v[j]
                ds = squash_slope(upstream, s[j])
                for i in range(I):
                    dc[i, j] = np.sum(votes[i, j] * ds)
                    dvotes[i, j] += c[i, j] * ds
            for i in range(I):
                db[i] += c[i] * (dc[i] - np.sum(c[i] * dc[i]))
        for i in range(I):
            for j in range(J):
                dw[i, j] += np.outer(dvotes[i, j], u[n, i])
                du[n, i] += dvotes[i, j] @ w[i, j]
    return du if need_dx else None, dw


def capsule_length_forward(v: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(v * v, axis=2))


def capsule_length_backward(dy: np.ndarray, v: np.ndarray, y: np.ndarray) -> np.ndarray:
    dv = np.zeros_like(v)
    for n, j in np.ndindex(y.shape):
        if y[n, j] != 0:
            dv[n, j] = dy[n, j] * v[n, j] / y[n, j]
    return dv


def capsule_mask(v: np.ndarray, labels: np.ndarray) -> np.ndarray:
    y = np.zeros_like(v)
    for n, label in enumerate(labels):
        y[n, label] = v[n, label]
    return y
