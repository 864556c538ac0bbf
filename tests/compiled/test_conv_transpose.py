"""Training of transposed convolutions with channels in lanes, against the reference backend, in whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled.lanes_of_channels import ELEMENTS, Steps, maps, training_program
from kernels import cases, compare

import minidl
from minidl import kernels
from minidl.kernels import reference

native = pytest.importorskip("minidl.kernels.native")
training = pytest.importorskip("minidl.compiled.training")
dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])

CASES = [  # channels, outputs, H, W, kernel, stride, padding, output_padding, dilation, groups
    (1, 1, 1, 1, 1),
    (3, 17, 5, 4, 2, 2),
    (20, 9, 4, 5, 4, 2, 1),
    (9, 33, 3, 6, (3, 5), (2, 3), ((0, 1), (2, 1)), (1, 0)),
    (35, 3, 5, 5, 2, 1, 0, 0, 3),
    (12, 18, 4, 3, 4, (3, 2), 1, (1, 1), (2, 3), 3),
    (19, 19, 4, 6, 3, 2, 1, 1, 1, 19),
    (7, 5, 1, 1, (4, 3), 9),
]


@dtypes
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_of_whole_numbers(rng: Any, dtype: Any, n: int, case: tuple, isa: None) -> None:
    """Behind a convolution, whose weights tell dx."""
    c, o, h, w, *settings = case
    model = minidl.Model(minidl.Conv2D(2, c, 1), minidl.ConvTranspose2D(c, o, *settings), dtype=dtype)
    for parameter in model.parameters():
        parameter.data = rng.integers(-2, 3, parameter.data.shape).astype(dtype)
        parameter.grad[...] = np.nan
    first, layer = model.layers
    step = training.Training(model._plan(), [(2, h, w)], np.dtype(dtype), [np.dtype(dtype)], lambda i: (None, None))
    step.prepare()
    assert len(step.parts) == 1
    x = rng.integers(-2, 3, (n, 2, h, w)).astype(dtype)
    (y,) = step.forward([x])
    middle = reference.conv2d_forward(x, first.weight.data, first.bias.data, (1, 1), (0, 0), (1, 1), 1)
    compare.check(
        y, reference.conv_transpose2d_forward(middle, layer.weight.data, layer.bias.data, *layer._window), exact=True
    )
    dy = rng.integers(-2, 3, y.shape).astype(dtype)
    step.backward([dy])
    dx, dw, db = reference.conv_transpose2d_backward(dy, middle, layer.weight.data, *layer._window, True, None)
    compare.check(layer.weight.grad, dw, exact=True)
    compare.check(layer.bias.grad, db, exact=True)
    compare.check(first.weight.grad, np.einsum("nohw,nchw->oc", dx, x)[:, :, None, None], exact=True)


@pytest.mark.parametrize(("frozen", "input_learns"), [(True, True), (False, False)])
def test_nothing_but_the_input_and_nothing_but_weights(rng: Any, frozen: bool, input_learns: bool) -> None:
    model = minidl.Model(minidl.Conv2D(2, 9, 1), minidl.ConvTranspose2D(9, 5, 3, 2, 1, 1), dtype="float64")
    first, layer = model.layers
    for part, still in ((first, not input_learns), (layer, frozen)):
        if still:
            part.freeze()
    for parameter in model.parameters():
        parameter.grad[...] = np.nan
    float64 = np.dtype(np.float64)
    with kernels.use("native"):
        step = training.Training(model._plan(), [(2, 4, 3)], float64, [float64], lambda i: (None, None))
        step.prepare()
        (y,) = step.forward([rng.standard_normal((2, 2, 4, 3))])
        step.backward([np.ones_like(y)])
    assert np.isnan(layer.weight.grad).all() == frozen
    assert np.isnan(first.weight.grad).all() == (not input_learns)


def test_more_pixels_than_the_way_back_would_make_run_as_a_layer() -> None:
    model = minidl.Model(minidl.Conv2D(2, 9, 1), minidl.ConvTranspose2D(9, 5, 2, 1, 0, 1, 2), dtype="float64")
    float64 = np.dtype(np.float64)
    with kernels.use("native"):
        step = training.Training(model._plan(), [(2, 4, 3)], float64, [float64], lambda i: (None, None))
    assert [type(part).__name__ for part in step.parts] == ["LearningSegment", "LearningForeign"]


@dtypes
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 13, 5, 3), (5, 40, 1, 1), (1, 70, 33, 40)], ids=str)
def test_a_bias_alone(rng: Any, dtype: Any, shape: tuple[int, ...], isa: None) -> None:
    steps, dy = Steps(dtype, shape[0]), rng.integers(-9, 10, shape)
    db = np.full(shape[1], np.nan, dtype)
    steps.p.conv_db(steps.given(dy), db)
    steps.run()
    compare.check(db, dy.sum((0, 2, 3)).astype(dtype), exact=True)


def test_what_is_refused() -> None:
    p = training_program.TrainingProgram(np.float32, ELEMENTS)
    dy = maps.Map((4, 4, 4), p.L)
    with pytest.raises(TypeError, match="db must be an array, got None"):
        p.conv_db(dy, None)
    with pytest.raises(ValueError, match="db must have 4 elements"):
        p.conv_db(dy, np.ones(3, np.float32))
    with pytest.raises(TypeError, match="dy must be a Map"):
        p.conv_db(None, np.ones(4, np.float32))
