"""Every backend against the reference, over the table of awkward shapes: windows, products, layout."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, judged, variants

from minidl.kernels import reference

whole = pytest.mark.parametrize("whole", [True, False], ids=["whole", "normal"])
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])


def guarded(*shapes, dtype):
    return [compare.Guarded(shape, dtype) for shape in shapes]


@dtypes
@whole
@pytest.mark.parametrize("case", cases.CONVS, ids=cases.label)
def test_conv2d(backend, case, dtype, whole):
    (x, w, b, dy), (y, dx, dw, db) = judged.conv2d(case, dtype, whole)
    entered, upstream = backend.enter(x), backend.enter(dy)
    compare.check(backend.leave(backend.conv2d_forward(entered, w, b, *case.window)), y, dtype, exact=whole)
    got_dx, got_dw, got_db = backend.conv2d_backward(upstream, entered, w, *case.window)
    compare.check(backend.leave(got_dx), dx, dtype, exact=whole)
    compare.check(got_dw, dw, dtype, exact=whole)
    compare.check(got_db, db, dtype, exact=whole)
    compare.check(backend.leave(entered), x, exact=True)
    compare.check(backend.leave(upstream), dy, exact=True)


@dtypes
@pytest.mark.parametrize("case", cases.CONVS, ids=cases.label)
def test_conv2d_backward_into_out(backend, case, dtype):
    (x, w, _, dy), (_, _, dw, db) = judged.conv2d(case, dtype, True)
    weight, bias = guarded(w.shape, db.shape, dtype=dtype)
    args = backend.enter(dy), backend.enter(x), w, *case.window
    none, got_dw, got_db = backend.conv2d_backward(*args, need_dx=False, out=(weight.array, bias.array))
    assert none is None
    assert got_dw is weight.array
    assert got_db is bias.array
    compare.check(got_dw, dw, dtype, exact=True)
    compare.check(got_db, db, dtype, exact=True)
    weight.array[...] = np.nan
    _, got_dw, no_db = backend.conv2d_backward(*args, need_dx=True, out=(weight.array, None))
    assert no_db is None
    compare.check(got_dw, dw, dtype, exact=True)
    weight.check()
    bias.check()


@dtypes
@whole
@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_maxpool2d(backend, case, dtype, whole):
    (x, dy), (y, argmax, dx) = judged.maxpool2d(case, dtype, whole)
    got, places = backend.maxpool2d_forward(backend.enter(x), *case.window)
    compare.check(backend.leave(got), y, dtype, exact=True)
    compare.check(backend.leave(places), argmax)
    got = backend.maxpool2d_backward(backend.enter(dy), places, case.x, *case.window)
    compare.check(backend.leave(got), dx, dtype, exact=whole)


@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_the_places_of_the_maxima_can_leave_and_come_back(backend, case):
    (x, dy), (_, _, dx) = judged.maxpool2d(case, np.float32, True)
    _, places = backend.maxpool2d_forward(backend.enter(x), *case.window)
    places = backend.enter(backend.leave(places))
    compare.check(
        backend.leave(backend.maxpool2d_backward(backend.enter(dy), places, case.x, *case.window)),
        dx,
        np.float32,
        exact=True,
    )


@dtypes
@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_maxpool2d_with_nan_and_infinities(backend, case, dtype, rng):
    x = cases.random(rng, case.x, dtype, whole=True)
    special = np.array([np.nan, np.inf, -np.inf, 0, 0, 0], dtype)
    x = np.where(rng.random(x.shape) < 0.4, special[rng.integers(0, 6, x.shape)], x)
    y, argmax = reference.maxpool2d_forward(x, *case.window)
    got, places = backend.maxpool2d_forward(backend.enter(x), *case.window)
    compare.check(backend.leave(got), y, exact=True)
    compare.check(backend.leave(places), argmax)


@pytest.mark.parametrize("value", [0.0, -0.0, -np.inf, np.inf, np.nan, -5.0])
def test_maxpool2d_of_a_constant_takes_the_first(backend, value):
    x = np.full((5, 2, 5, 7), value, np.float32)
    window = (3, 3), (2, 2), (1, 1)
    y, argmax = reference.maxpool2d_forward(x, *window)
    got, places = backend.maxpool2d_forward(backend.enter(x), *window)
    compare.check(backend.leave(got), y, exact=True)
    compare.check(backend.leave(places), argmax)


@dtypes
@whole
@pytest.mark.parametrize("case", cases.POOLS, ids=cases.label)
def test_avgpool2d(backend, case, dtype, whole):
    (x, dy), (y, dx) = judged.avgpool2d(case, dtype, whole)
    exact = whole and np.log2(np.prod(case.kernel)) % 1 == 0
    compare.check(backend.leave(backend.avgpool2d_forward(backend.enter(x), *case.window)), y, dtype, exact=exact)
    got = backend.avgpool2d_backward(backend.enter(dy), case.x, *case.window)
    compare.check(backend.leave(got), dx, dtype, exact=exact)


@dtypes
@pytest.mark.parametrize("shape", [shape for shape in cases.SHAPES if len(shape) == 4], ids=str)
def test_global_avgpool(backend, shape, dtype, rng):
    x, dy = cases.random(rng, shape, dtype), cases.random(rng, shape[:2], dtype)
    y = reference.global_avgpool_forward(x.astype(np.float64))
    dx = reference.global_avgpool_backward(dy.astype(np.float64), shape)
    compare.check(backend.leave(backend.global_avgpool_forward(backend.enter(x))), y, dtype)
    compare.check(backend.leave(backend.global_avgpool_backward(backend.enter(dy), shape)), dx, dtype)


@dtypes
@whole
@pytest.mark.parametrize("case", cases.LINEARS, ids=cases.label)
def test_linear(backend, case, dtype, whole):
    (x, w, b, dy), (y, dx, dw, db) = judged.linear(case, dtype, whole)
    entered, upstream = backend.enter(x), backend.enter(dy)
    compare.check(backend.leave(backend.linear_forward(entered, w, b)), y, dtype, exact=whole)
    got_dx, got_dw, got_db = backend.linear_backward(upstream, entered, w)
    compare.check(backend.leave(got_dx), dx, dtype, exact=whole)
    compare.check(got_dw, dw, dtype, exact=whole)
    compare.check(got_db, db, dtype, exact=whole)

    weight, bias = guarded(w.shape, db.shape, dtype=dtype)
    none, _, _ = backend.linear_backward(upstream, entered, w, need_dx=False, out=(weight.array, bias.array))
    assert none is None
    compare.check(weight.array, dw, dtype, exact=whole)
    compare.check(bias.array, db, dtype, exact=whole)
    weight.array[...] = np.nan
    _, _, no_db = backend.linear_backward(upstream, entered, w, out=(weight.array, None))
    assert no_db is None
    compare.check(weight.array, dw, dtype, exact=whole)
    weight.check()
    bias.check()


@dtypes
@pytest.mark.parametrize("case", cases.CONVS, ids=cases.label)
def test_the_matrix_form(backend, case, dtype, rng):
    kernel, (stride, padding, dilation, _) = case.w[2:], case.window
    x = cases.random(rng, case.x, dtype, whole=True)
    cols = reference.im2col(x, kernel, stride, padding, dilation)
    compare.check(backend.im2col(x, kernel, stride, padding, dilation), cols, exact=True)
    cols = cases.random(rng, cols.shape, dtype, whole=True)
    expected = reference.col2im(cols, case.x, kernel, stride, padding, dilation)
    compare.check(backend.col2im(cols, case.x, kernel, stride, padding, dilation), expected, exact=True)


@dtypes
@pytest.mark.parametrize("shape", cases.SHAPES, ids=str)
def test_layout(backend, shape, dtype, rng):
    a, b = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
    entered = backend.enter(a)
    assert tuple(entered.shape) == shape
    assert entered.ndim == len(shape)
    assert entered.dtype == dtype
    compare.check(backend.leave(entered), a, exact=True)
    compare.check(backend.leave(backend.add(entered, backend.enter(b))), a + b, exact=True)
    compare.check(backend.leave(entered), a, exact=True)
    flat = backend.reshape(entered, (int(np.prod(shape[1:])),))
    compare.check(backend.leave(flat), a.reshape(shape[0], int(np.prod(shape[1:]))), exact=True)
    compare.check(backend.leave(backend.reshape(flat, shape[1:])), a, exact=True)


@pytest.mark.parametrize("source", [np.uint8, np.float32, np.float64])
@dtypes
@pytest.mark.parametrize("image", [(3, 4, 5), (1, 28, 3), (7,)], ids=str)
def test_gather(backend, source, dtype, image, rng):
    for n in cases.BATCHES:
        with compare.during("batch", n):
            images = rng.integers(0, 256, (20, *image)).astype(source)
            index = rng.integers(0, 20, n).astype(np.intp)
            scale = np.array([0.5, 2, 0.25, 1, 4, 8, 1][: image[0]], dtype)
            shift = np.arange(image[0]).astype(dtype) - 1
            expected = reference.gather(images, index, scale, shift)
            compare.check(backend.leave(backend.gather(images, index, scale, shift)), expected, exact=True)
            scale, shift = (cases.random(rng, (image[0],), dtype) for _ in range(2))
            expected = reference.gather(images.astype(np.float64), index, *judged.wide(scale, shift))
            compare.check(backend.leave(backend.gather(images, index, scale, shift)), expected, dtype)


@dtypes
def test_gather_scales_all_features_alike(backend, dtype, rng):
    images, index = rng.integers(0, 256, (9, 6)).astype(np.uint8), np.array([8, 0, 8, 3], np.intp)
    scale, shift = np.array([0.5], dtype), np.array([-3], dtype)
    expected = images[index].astype(dtype) * scale - 3
    compare.check(backend.leave(backend.gather(images, index, scale, shift)), expected, exact=True)


@dtypes
@pytest.mark.parametrize("variant", [v for v in variants.ALL if v.name == "native"], ids=variants.label)
def test_the_number_of_threads_changes_no_bit(variant, dtype):
    with variants.using(variant) as backend:
        before, results = backend.get_num_threads(), []
        try:
            for threads in 1, 2, 3:
                backend.set_num_threads(threads)
                results.append([_bits(backend, case, dtype) for case in cases.CONVS])
        finally:
            backend.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def _bits(backend, case, dtype):
    (x, w, b, dy), _ = judged.conv2d(case, dtype, False)
    entered = backend.enter(x)
    y = backend.leave(backend.conv2d_forward(entered, w, b, *case.window))
    dx, dw, db = backend.conv2d_backward(backend.enter(dy), entered, w, *case.window)
    return case.name, [a.tobytes() for a in (y, backend.leave(dx), dw, db)]
