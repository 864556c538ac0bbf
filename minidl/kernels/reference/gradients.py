"""Where weight gradients are summed: fresh zeros, or the caller's arrays set to zero."""

from __future__ import annotations

import numpy as np

Out = tuple[np.ndarray, "np.ndarray | None"]


def zeroed(w: np.ndarray, out: Out | None) -> Out:
    """(dw, db) full of zeros for weights (O, ...); `out` itself where given, whose db may be None: not wanted."""
    if out is None:
        return np.zeros_like(w), np.zeros(w.shape[0], w.dtype)
    for gradient in out:
        if gradient is not None:
            gradient[...] = 0
    return out
