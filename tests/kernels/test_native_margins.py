"""Parameters, gradients and statistics at any place in memory: nothing beside them is written or read."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, operations

pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
sizes = pytest.mark.parametrize("margin", [64, 65, 67], ids=["aligned", "1-off", "3-off"])

SHAPES = (
    ((5, 3, 7, 9), (7, 3, 3, 3), ((1, 1), (1, 1), (1, 1), 1)),
    ((17, 9, 8, 7), (13, 9, 3, 3), ((1, 1), (1, 1), (1, 1), 1)),
    ((3, 6, 6, 5), (9, 2, 3, 2), ((2, 1), (1, 0), (1, 2), 3)),
    ((2, 7, 5, 5), (7, 1, 3, 3), ((1, 1), (1, 1), (1, 1), 7)),
    ((33, 1, 4, 4), (1, 1, 1, 1), ((1, 1), (0, 0), (1, 1), 1)),
)


def guards(margin, dtype, *shapes):
    """Arrays of NaN in larger buffers of NaN, `margin` elements behind an aligned place."""

    class Shifted(compare.Guarded):
        MARGIN = margin

    return [Shifted(shape, dtype) for shape in shapes]


def placed(margin, *arrays):
    """The same arrays between margins of NaN: a NaN read from there would spoil what is made of them."""
    copies = guards(margin, arrays[0].dtype, *(a.shape for a in arrays))
    for copy, array in zip(copies, arrays, strict=True):
        copy.array[...] = array
    return copies


@dtypes
@sizes
@pytest.mark.parametrize(
    ("x_shape", "shape", "window"), SHAPES, ids=["direct", "winograd", "groups", "depthwise", "1x1"]
)
def test_convolution(native, dtype, margin, x_shape, shape, window, rng):
    x, w, b = (cases.random(rng, s, dtype, whole=True) for s in (x_shape, shape, shape[:1]))
    weights, bias = placed(margin, w, b)
    entered = native.enter(placed(margin, x)[0].array)
    for pool in operations.POOLS.values():
        y, saved = native.conv_block_forward(entered, weights.array, bias.array, *window, True, pool)
        expected, saved_of_plain = native.conv_block_forward(native.enter(x), w, b, *window, True, pool)
        compare.check(native.leave(y), native.leave(expected), exact=True)
        dy = native.enter(cases.random(rng, y.shape, dtype, whole=True))
        dw, db = guards(margin, dtype, shape, shape[:1])
        out = dw.array, db.array
        native.conv_block_backward(dy, saved, entered, weights.array, *window, True, pool, out=out)
        expected = native.conv_block_backward(dy, saved_of_plain, native.enter(x), w, *window, True, pool)
        compare.check(dw.array, expected[1], exact=True)
        compare.check(db.array, expected[2], exact=True)
        for guard in (dw, db, weights, bias):
            guard.check()
    compare.check(weights.array, w, exact=True)
    compare.check(bias.array, b, exact=True)


@dtypes
@sizes
@pytest.mark.parametrize(("n", "f", "o"), [(1, 1, 1), (5, 7, 3), (17, 33, 19), (3, 64, 6), (20, 100, 50)])
def test_linear(native, dtype, margin, n, f, o, rng):
    x, w, b, upstream = (cases.random(rng, s, dtype, whole=True) for s in ((n, f), (o, f), (o,), (n, o)))
    weights, bias = placed(margin, w, b)
    entered, dy = native.enter(x), native.enter(upstream)
    y = native.linear_block_forward(entered, weights.array, bias.array)
    positive = x @ w.T + b > 0
    compare.check(native.leave(y), np.where(positive, x @ w.T + b, 0).astype(dtype), exact=True)
    dw, db = guards(margin, dtype, (o, f), (o,))
    dx, _, _ = native.linear_block_backward(dy, y, entered, weights.array, out=(dw.array, db.array))
    masked = upstream * positive
    compare.check(native.leave(dx), masked @ w, exact=True)
    compare.check(dw.array, masked.T @ x, exact=True)
    compare.check(db.array, masked.sum(0), exact=True)
    for guard in (dw, db, weights, bias):
        guard.check()


@dtypes
@sizes
@pytest.mark.parametrize("pool", operations.POOLS.values(), ids=operations.POOLS)
def test_normalisation(native, dtype, margin, pool, rng):
    C = 7
    x = native.enter(cases.random(rng, (5, C, 6, 6), dtype))
    plain = [cases.random(rng, (C,), dtype) for _ in range(3)] + [np.ones(C, dtype)]
    shifted = placed(margin, *plain)
    y, saved = native.norm_block_forward(x, *(guard.array for guard in shifted), 0.9, 1e-3, True, True, pool)
    expected, saved_of_plain = native.norm_block_forward(x, *plain, 0.9, 1e-3, True, True, pool)
    compare.check(native.leave(y), native.leave(expected), exact=True)
    for guard, array in zip(shifted, plain, strict=True):
        compare.check(guard.array, array, exact=True)
    dy = native.enter(cases.random(rng, y.shape, dtype))
    out = guards(margin, dtype, (C,), (C,))
    native.norm_block_backward(dy, saved, x, shifted[0].array, True, True, pool, (out[0].array, out[1].array))
    expected = native.norm_block_backward(dy, saved_of_plain, x, plain[0], True, True, pool)
    for guard, array in zip(out, expected[1:], strict=True):
        compare.check(guard.array, array, exact=True)
    for guard in (*shifted, *out):
        guard.check()


@dtypes
@sizes
@pytest.mark.parametrize(("name", "shape", "rest"), [("groupnorm", (6,), (3, 1e-3)), ("layernorm", (6, 5, 3), (1e-3,))])
def test_normalisation_of_images(native, dtype, margin, name, shape, rest, rng):
    x, dy = cases.random(rng, (19, 6, 5, 3), dtype), cases.random(rng, (19, 6, 5, 3), dtype)
    plain = [cases.random(rng, shape, dtype) for _ in range(2)]
    shifted = placed(margin, *plain)
    forward, backward = getattr(native, f"{name}_forward"), getattr(native, f"{name}_backward")
    for images in (x, x[:1]):
        entered = native.enter(images, infer=len(images) == 1)
        results = [forward(entered, *arrays, *rest) for arrays in (plain, [guard.array for guard in shifted])]
        for got, wanted in zip(*results, strict=True):
            compare.check(native.leave(got), native.leave(wanted), exact=True)
    _, mean, inv_std = forward(native.enter(x), *plain, *rest)
    out = guards(margin, dtype, shape, shape)
    arrays = out[0].array, out[1].array
    backward(native.enter(dy), native.enter(x), shifted[0].array, mean, inv_std, arrays)
    expected = backward(native.enter(dy), native.enter(x), plain[0], mean, inv_std)
    for guard, array in zip(out, expected[1:], strict=True):
        compare.check(guard.array, array, exact=True)
    for guard in (*shifted, *out):
        guard.check()


UPDATES = {
    "sgd": (1, (0.1, 0.0, 0.01)),
    "momentum": (2, (0.1, 0.9, 0.01)),
    "nesterov": (2, (0.1, 0.9, 0.01, True)),
    "rmsprop": (2, (0.1, 0.9, 1e-3, 0.01)),
    "adam": (3, (4, 0.1, 0.9, 0.99, 1e-3, 0.01)),
    "adamw": (3, (4, 0.1, 0.9, 0.99, 1e-3, 0.01, True)),
    "blend": (1, (0.3,)),
}


@dtypes
@sizes
@pytest.mark.parametrize("which", UPDATES)
def test_updates(native, dtype, margin, which, rng):
    states, rest = UPDATES[which]
    updates = {"rms": native.rmsprop_update, "ada": native.adam_update, "ble": native.blend}
    update = updates.get(which[:3], native.sgd_update)
    for size in (1, 37, 40_001):
        plain = [rng.uniform(0.1, 1, size).astype(dtype) for _ in range(states + 1)]
        shifted = placed(margin, *plain)
        for arrays in (plain, [guard.array for guard in shifted]):
            update(*arrays, *([None] if which == "sgd" else []), *rest)
        for guard, array in zip(shifted, plain, strict=True):
            compare.check(guard.array, array, dtype, tolerance=1e-6)
            guard.check()


@dtypes
@sizes
def test_sum_of_squares(native, dtype, margin, rng):
    for size in (1, 37, 40_001):
        plain = cases.random(rng, (size,), dtype)
        (shifted,) = placed(margin, plain)
        assert native.sum_of_squares(shifted.array) == native.sum_of_squares(plain)


@dtypes
@sizes
def test_targets_and_batches(native, dtype, margin, rng):
    logits = cases.random(rng, (19, 7), dtype)
    target = rng.random((19, 7)).astype(dtype)
    images, scale, shift = (cases.random(rng, shape, dtype) for shape in ((4, 7, 3, 5), (7,), (7,)))
    shifted = [guard.array for guard in placed(margin, logits, target, images, scale, shift)]
    entered = native.enter(shifted[0])
    weight, factors = rng.random(19).astype(dtype), rng.random(7).astype(dtype)
    weights = [guard.array for guard in placed(margin, weight, factors)]
    for loss, plain in (
        (native.softmax_cross_entropy(entered, shifted[1]), native.softmax_cross_entropy(native.enter(logits), target)),
        (
            native.softmax_cross_entropy(entered, shifted[1], 0.1, *weights),
            native.softmax_cross_entropy(native.enter(logits), target, 0.1, weight, factors),
        ),
        (
            native.sigmoid_cross_entropy(entered, shifted[1], *weights),
            native.sigmoid_cross_entropy(native.enter(logits), target, weight, factors),
        ),
        (native.mse_loss(entered, shifted[1]), native.mse_loss(native.enter(logits), target)),
        (native.l1_loss(entered, shifted[1], weights[0]), native.l1_loss(native.enter(logits), target, weight)),
    ):
        assert loss[0] == plain[0]
        compare.check(native.leave(loss[1]), native.leave(plain[1]), exact=True)
    index = np.array([3, 0, 3, 1, 2] * 4, np.intp)
    gathered = native.leave(native.gather(shifted[2], index, *shifted[3:]))
    compare.check(gathered, native.leave(native.gather(images, index, scale, shift)), exact=True)
