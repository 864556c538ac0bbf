"""What earlier batches left in memory must not reach a result: NaN in reused buffers, in a last block's empty lanes."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged

from minidl.kernels import reference

SMALL, FULL = (1, 3, 5, 15), 16
WINDOW = (1, 1), (1, 1), (1, 1), 1
POOL = ("max", (2, 2), (2, 2), (0, 0))


def training_step(backend, x, labels, parameters):
    """Every reduction over the batch, in one pass through a small network; all results as ndarrays, by name."""
    w, b, gamma, beta, matrix, bias = parameters
    mean, var = np.zeros_like(gamma), np.ones_like(gamma)
    entered = backend.enter(x)
    z = backend.conv2d_forward(entered, w, b, *WINDOW)
    a, batch_mean, inv_std = backend.batchnorm_forward(z, gamma, beta, mean, var, 0.9, 1e-5, True)
    block, saved = backend.conv_block_forward(a, w, b, *WINDOW, True, POOL)
    normed, norm_saved = backend.norm_block_forward(block, gamma, beta, mean, var, 0.9, 1e-5, True, True, None)
    dropped = backend.dropout_forward(backend.sigmoid_forward(normed), 0.25, 11)
    features = backend.global_avgpool_forward(dropped)
    logits = backend.linear_forward(features, matrix, bias)
    loss, dlogits, correct = backend.softmax_cross_entropy(logits, labels, 0.1)
    square, _ = backend.mse_loss(logits, np.zeros((len(x), len(matrix)), x.dtype))
    dfeatures, dmatrix, dbias = backend.linear_backward(dlogits, features, matrix)
    dnormed = backend.dropout_backward(backend.global_avgpool_backward(dfeatures, dropped.shape), 0.25, 11)
    dnormed = backend.sigmoid_backward(dnormed, backend.sigmoid_forward(normed))
    dblock, dgamma2, dbeta2 = backend.norm_block_backward(dnormed, norm_saved, block, gamma, True, True, None)
    da, dw2, db2 = backend.conv_block_backward(dblock, saved, a, w, *WINDOW, True, POOL)
    dz, dgamma, dbeta = backend.batchnorm_backward(da, z, gamma, batch_mean, inv_std)
    dx, dw, db = backend.conv2d_backward(dz, entered, w, *WINDOW)
    return {
        "logits": backend.leave(logits),
        "loss": np.array([loss, square, correct], x.dtype),
        "dx": backend.leave(dx),
        "statistics": np.array([mean, var]),
        **{"dw": dw, "db": db, "dw2": dw2, "db2": db2, "dmatrix": dmatrix, "dbias": dbias},
        **{"dgamma": dgamma, "dbeta": dbeta, "dgamma2": dgamma2, "dbeta2": dbeta2},
    }


@pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
def test_a_batch_of_nan_leaves_no_trace(backend, dtype):
    rng = np.random.default_rng(8)
    shapes = (4, 4, 3, 3), (4,), (4,), (4,), (5, 4), (5,)
    parameters = [cases.random(rng, shape, dtype) for shape in shapes]
    poison = np.full((FULL, 4, 6, 6), np.nan, dtype)
    for n in SMALL:
        x, labels = cases.random(rng, (n, 4, 6, 6), dtype), rng.integers(0, 5, n).astype(np.intp)
        clean = training_step(reference, x.astype(np.float64), labels, judged.wide(*parameters))
        for _ in range(3):
            poisoned = training_step(backend, poison, np.zeros(FULL, np.intp), parameters)
            assert np.isnan(poisoned["dw"]).all()
            del poisoned
            results = training_step(backend, x, labels, parameters)
            for name, expected in clean.items():
                with compare.during("batch", n, name):
                    tolerance = 2e-4 if dtype == np.float32 else 1e-11
                    compare.check(results[name], expected, dtype, tolerance, at_least=1e-2)


def test_results_survive_later_calls(backend, rng):
    """A buffer is given out again only when nobody holds it any more."""
    batches = [cases.random(rng, (9, 2, 4, 4), np.float32, whole=True) for _ in range(6)]
    w = cases.random(rng, (3, 2, 3, 3), np.float32, whole=True)
    held = [backend.conv2d_forward(backend.enter(x), w, None, *WINDOW) for x in batches]
    left = [backend.leave(y) for y in held]
    for x, y, z in zip(batches, held, left, strict=True):
        expected = reference.conv2d_forward(x, w, None, *WINDOW)
        compare.check(backend.leave(y), expected, exact=True)
        compare.check(z, expected, exact=True)


def test_what_leaves_is_the_callers_own(any_backend, rng):
    x = cases.random(rng, (5, 2, 4, 4), np.float32)
    entered = any_backend.enter(x)
    y = any_backend.relu_forward(entered)
    first = any_backend.leave(y)
    expected = first.copy()
    first[...] = -1
    compare.check(any_backend.leave(y), expected, exact=True)
    compare.check(any_backend.leave(any_backend.enter(x)), x, exact=True)
