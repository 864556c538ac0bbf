"""Products of matrices that both come from the images: (N, M, K) or (N, S, M, K), and (N, K, P) or (N, S, K, P)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.functional._call import call
from minidl.kernels import checks, functions


def matmul_forward(a: Any, b: Any) -> np.ndarray:
    """a b for each image: (N, M, K) and (N, K, P) -> (N, M, P), or S of them an image; an S of 1 goes with all."""
    who = "matmul_forward"
    a, b = checks.floats(who, a=a, b=b)
    checks.check_elements(who, functions.product(who, a.shape, b.shape))
    return call(who, a, b)


def matmul_backward(dy: Any, a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    """da = dy b^T and db = a^T dy, in the shapes of a and b: summed over matrices that one went with."""
    who = "matmul_backward"
    dy, a, b = checks.floats(who, dy=dy, a=a, b=b)
    checks.same_shape(who, "dy", dy.shape, functions.product(who, a.shape, b.shape), "that of a times b")
    return call(who, dy, a, b)
