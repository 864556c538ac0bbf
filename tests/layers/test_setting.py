"""What is assigned to attributes of models, layers and parameters is taken, or refused where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl.layers.parameter import Parameter

X = np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)


def model() -> Any:
    return minidl.Model(
        minidl.Conv2D(1, 4, 3, padding=1, rng=1),
        minidl.BatchNorm2D(4),
        minidl.MaxPool2D(2),
        minidl.Dropout(0.5),
        minidl.GlobalAvgPool2D(),
        minidl.Linear(4, 3, rng=2),
        name="M",
    )


REFUSED = [
    ("0", "stride", 0, ValueError, r"layer 0 \(Conv2D\): stride must be at least 1, got 0"),
    ("0", "padding", "x", ValueError, r"layer 0 \(Conv2D\): padding must be .*, got 'x'"),
    (
        "0",
        "out_channels",
        5,
        ValueError,
        r"layer 0 \(Conv2D\): out_channels must stay as it is, .*, got 5; make",
    ),
    ("0", "weight", np.zeros(3), TypeError, r"layer 0 \(Conv2D\): weight must be a Parameter, got ndarray; to change"),
    ("0", "weight", None, TypeError, r"layer 0 \(Conv2D\): weight must be a Parameter, got None"),
    ("0", "bias", True, TypeError, r"layer 0 \(Conv2D\): bias must be a Parameter, got True"),
    (
        "0",
        "bias",
        Parameter(np.zeros(5, "f4"), "b"),
        ValueError,
        r"bias must have shape \(4,\) \(as before\), got \(5,\)",
    ),
    ("0", "bias", Parameter(np.zeros(4), "b"), TypeError, r"bias must have the dtype float32 .*, got float64"),
    ("1", "eps", -1, ValueError, r"layer 1 \(BatchNorm2D\): eps must be positive, got -1"),
    ("1", "momentum", "x", TypeError, r"layer 1 \(BatchNorm2D\): momentum must be a number, got 'x'"),
    ("1", "running_mean", np.zeros(3), ValueError, r"layer 1 \(BatchNorm2D\): running_mean must have shape \(4,\)"),
    ("1", "running_var", ["a"] * 4, TypeError, r"layer 1 \(BatchNorm2D\): running_var must be numbers of shape \(4,\)"),
    ("1", "weight", np.zeros(4), TypeError, r"layer 1 \(BatchNorm2D\): weight is called gamma here .* got array"),
    ("3", "p", 0.1, TypeError, r"layer 3 \(Dropout\): p is called rate here and must be set as such, got 0.1"),
    ("3", "rate", 2, ValueError, r"layer 3 \(Dropout\): rate must be in \[0, 1\), got 2"),
    ("3", "rng", "x", TypeError, "rng must be a numpy.random.Generator, an int seed or None, got 'x'"),
    ("", "mean", "x", TypeError, "M: mean must be a number, or one number a channel, got 'x'"),
    ("", "std", [0.1, 0], ValueError, r"M: std must be a number, .*, positive and finite, got \[0.1, 0\]"),
    ("", "class_names", 3, TypeError, "M: class_names must be a list of names, got 3"),
    ("", "multi_label", np.ones(2), TypeError, "M: multi_label must be True or False, got array"),
    ("", "layers", 3, TypeError, "M: layers must be a list of layers, got 3"),
    ("", "layers", [minidl.Relu], TypeError, "M: element 0 must be a layer, got .* it is a class"),
    ("", "dtype", None, TypeError, "M: dtype must be float32 or float64, got None"),
]


@pytest.mark.parametrize(("place", "name", "value", "error", "message"), REFUSED)
def test_what_is_refused_changes_nothing(place: str, name: str, value: Any, error: Any, message: str) -> None:
    m = model()
    before = m.predict(X)
    with pytest.raises(error, match=message):
        setattr(m.layers[int(place)] if place else m, name, value)
    np.testing.assert_array_equal(m.predict(X), before)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("data", [1, 2], ValueError, r"parameter 5.bias: data must have shape \(3,\) \(as before\), got \(2,\)"),
        ("data", [[1], [2, 3]], TypeError, r"parameter 5.bias: data must be numbers of shape \(3,\), got \[\[1\]"),
        ("data", np.zeros(3, complex), TypeError, "data must be numbers of shape .*, got dtype complex128"),
        ("grad", None, TypeError, r"parameter 5.bias: grad must be numbers of shape \(3,\), got None"),
        ("frozen", "no", TypeError, "parameter 5.bias: frozen must be True or False, got 'no'"),
        ("decay", 1, TypeError, "parameter 5.bias: decay must be True or False, got 1"),
    ],
)
def test_what_parameters_refuse(name: str, value: Any, error: Any, message: str) -> None:
    parameter = model().layers[5].bias
    with pytest.raises(error, match=message):
        setattr(parameter, name, value)
    np.testing.assert_array_equal(parameter.data, np.zeros(3))


def test_numbers_become_what_the_parameter_has() -> None:
    m = model()
    bias, given = m.layers[5].bias, np.arange(3, dtype=np.float32)
    before = m.predict(X)
    bias.data = [1, 2, 3]
    np.testing.assert_allclose(m.predict(X), before + bias.data, rtol=1e-5)
    bias.data = np.ones(3)
    bias.grad = np.ones(6)[::2]
    assert (bias.data.dtype, bias.grad.dtype, bias.grad.flags.c_contiguous) == (np.float32, np.float32, True)
    bias.data = given
    assert bias.data is given
    given.flags.writeable = False
    bias.data = given
    assert bias.data.flags.writeable


def test_statistics_may_be_a_list() -> None:
    m = model()
    m.layers[1].running_mean = [0.5] * 4
    assert m.layers[1].running_mean.dtype == np.float32
    assert not np.array_equal(m.predict(X), model().predict(X))


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        (lambda: minidl.Conv2D(1, 2, 3, rng=1), "stride", 2),
        (lambda: minidl.Conv2D(1, 2, 3, rng=1), "padding", "same"),
        (lambda: minidl.MaxPool2D(2), "stride", 1),
        (lambda: minidl.Upsample(2), "mode", "bilinear"),
        (lambda: minidl.Pad2D(1), "padding", (0, 2)),
        (lambda: minidl.Pad2D(1), "value", 3.0),
        (lambda: minidl.Slice(0, 4, axis=2), "stop", 6),
        (lambda: minidl.Arithmetic("*", 2), "value", 3),
        (lambda: minidl.Clip(-1, 1), "high", None),
    ],
)
def test_a_setting_counts_at_once(layer: Any, name: str, value: Any) -> None:
    """In the layer, in a model that has predicted, and in one that has trained, as if it had been made so."""
    changed = layer()
    m = minidl.Model(changed)
    m.predict(X)
    m.forward(X, True)
    setattr(changed, name, value)
    made = type(changed)(**{**layer().settings(), name: value, **({"rng": 1} if hasattr(changed, "weight") else {})})
    expected = made.forward(X)
    for found in (m.predict(X), m.forward(X, True), changed.forward(X)):
        np.testing.assert_array_equal(found, expected)
    assert repr(changed) == repr(made)


def test_another_setting_may_not_fit_the_layer_behind() -> None:
    m = minidl.Model(minidl.Conv2D(1, 2, 3), minidl.Flatten(), minidl.Linear(72, 3))
    m.predict(X)
    m.layers[0].stride = 2
    with pytest.raises(ValueError, match=r"layer 2 \(Linear\): input must have 72 features, got 18"):
        m.predict(X)
    m.layers[0].stride = 1
    assert m.predict(X).shape == (2, 3)


def test_a_bias_that_comes_and_goes() -> None:
    layer = minidl.Conv2D(1, 2, 3).astype("float64")
    layer.bias = None
    with pytest.raises(ValueError, match=r"Conv2D: bias must have shape \(2,\) \(as before\), got \(3,\)"):
        layer.bias = Parameter(np.zeros(3), "bias")
    layer.bias = Parameter(np.ones(2), "bias")
    assert list(layer.named_parameters()) == ["weight", "bias"]


def test_an_assignment_draws_nothing() -> None:
    layer = minidl.Conv2D(1, 2, 3)
    minidl.seed(3)
    layer.stride = 2
    drawn = minidl.Linear(2, 2).weight.data
    minidl.seed(3)
    np.testing.assert_array_equal(minidl.Linear(2, 2).weight.data, drawn)


def test_mean_std_and_dtype() -> None:
    m, pixels = model(), np.full((2, 1, 8, 8), 51, np.uint8)
    with pytest.warns(UserWarning, match="M: mean 51 must be on the scale from 0 to 1"):
        m.mean = 51
    m.mean, m.std = 0.1, [0.5]
    np.testing.assert_allclose(m.predict(pixels), m.predict(np.full((2, 1, 8, 8), 0.2, np.float32)), rtol=1e-5)
    m.dtype = "float64"
    assert m.predict(X).dtype == np.float64


def test_one_layer_of_another_dtype_is_named() -> None:
    m = model()
    m.predict(X)
    m.layers[5].astype("float64")
    with pytest.raises(TypeError, match=r"layer 5 \(Linear\): input must have the parameters' dtype float64"):
        m.forward(X)
