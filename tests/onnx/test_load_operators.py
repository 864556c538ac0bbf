"""Each operator that is read, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
from graphs_of_onnx import agrees, expected, file, floats, images, ints, one, operator

X = images(3)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("Relu", {}),
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("Elu", {"alpha": 0.7}),
        ("Selu", {}),
        ("LeakyRelu", {"alpha": 0.2}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("HardSigmoid", {}),
        ("HardSwish", {}),
        ("Celu", {"alpha": 2.0}),
        ("Exp", {}),
        ("Erf", {}),
        ("Abs", {}),
        ("Neg", {}),
        ("Identity", {}),
    ],
)
def test_functions_of_each_number(kind, attributes):
    one(kind, **attributes)


@pytest.mark.parametrize("kind", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers(kind):
    one(kind, x=np.abs(X) + np.float32(0.5))


@pytest.mark.parametrize(
    ("kind", "opset", "attributes"), [("Mish", 18, {}), ("Gelu", 20, {}), ("Gelu", 20, {"approximate": "tanh"})]
)
def test_functions_of_later_versions(kind, opset, attributes):
    one(kind, opset=opset, **attributes)


def test_clip_by_inputs_and_by_attributes():
    low, high = np.float32(-0.5), np.float32(0.75)
    assert one("Clip", low, high).plan()[0].low == -0.5
    one("Clip", None, high)
    one("Clip", opset=6, min=-0.5, max=0.75)
    assert isinstance(one("Clip", np.float32(0), np.float32(6)).plan()[0], minidl.Relu6)
    one("Max", np.float32(0.5))
    one("Min", np.float32(0.5))


def test_power():
    one("Pow", np.float32(2))
    one("Pow", np.float32(3))
    one("Pow", np.float32(1))
    one("Pow", np.float32(0.5), x=np.abs(X))


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 1, 1), (1, 3, 1, 1), (6, 5), (3, 6, 5)])
def test_arithmetic_with_constants(kind, shape):
    one(kind, floats(*shape, low=0.5))
    content = file([operator(kind, ["c", "x"], ["y"])], {"c": floats(*shape)})
    agrees(content, np.abs(X) + np.float32(0.5))


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
def test_arithmetic_of_two_values(kind):
    nodes = [operator("Exp", ["x"], ["a"]), operator(kind, ["x", "a"], ["y"])]
    agrees(file(nodes), X)
    pooled = [
        operator("Exp", ["x"], ["e"]),
        operator("GlobalAveragePool", ["e"], ["a"]),
        operator(kind, ["x", "a"], ["y"]),
    ]
    agrees(file(pooled), X)


def test_sum():
    agrees(file([operator("Exp", ["x"], ["a"]), operator("Sum", ["x", "a", "x"], ["y"])]), X)
    agrees(file([operator("Sum", ["x"], ["y"])]), X)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"pads": [1, 1, 1, 1], "strides": [2, 1]},
        {"pads": [0, 1, 2, 0]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "VALID", "dilations": [1, 2]},
    ],
)
def test_convolution(attributes):
    one("Conv", floats(4, 3, 3, 2), floats(4), kernel_shape=[3, 2], **attributes)


def test_convolution_in_groups_without_bias():
    layer = one("Conv", floats(6, 1, 3, 3), group=3).plan()[0]
    assert (layer.groups, layer.bias) == (3, None)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 3], "pads": [1, 0, 1, 0], "output_padding": [1, 2]},
        {"strides": [2, 2], "pads": [1, 0, 0, 1]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "output_shape": [12, 10]},
        {"dilations": [2, 2]},
    ],
)
def test_transposed_convolution(attributes):
    one("ConvTranspose", floats(3, 2, 3, 3), floats(2), kernel_shape=[3, 3], **attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 3], "pads": [0, 1, 1, 0]},
    ],
)
def test_pooling(attributes):
    one("MaxPool", **attributes)
    one("AveragePool", **attributes)


def test_pooling_of_other_kinds():
    one("MaxPool", kernel_shape=[2, 2], dilations=[2, 2])
    one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    one("GlobalAveragePool")
    one("GlobalMaxPool")


@pytest.mark.parametrize("shape", [(3, 6, 5), (3,)])
def test_batch_normalisation_is_a_layer(shape):
    layer = one(
        "BatchNormalization",
        floats(3),
        floats(3, seed=2),
        floats(3, seed=3),
        floats(3, seed=4, low=0.1),
        epsilon=1e-3,
        momentum=0.8,
        shape=shape,
    ).plan()[0]
    assert type(layer) is (minidl.BatchNorm2D if len(shape) == 3 else minidl.BatchNorm1D)
    assert (layer.momentum, layer.eps) == (0.8, 1e-3)


def test_other_normalisations():
    one("InstanceNormalization", floats(3), floats(3, seed=2))
    one("LayerNormalization", floats(5), floats(5, seed=2))
    one("LayerNormalization", floats(3, 6, 5), axis=1)
    one("LRN", size=3, alpha=0.1, beta=0.7, bias=2.0)
    one("GroupNormalization", floats(4), floats(4, seed=2), num_groups=2, opset=21, shape=(4, 3, 3))


def test_scales_of_groups_and_one_scale_for_all():
    scale, shift, x = floats(2), floats(2, seed=2), images(3, (4, 3, 3))
    content = file([operator("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)], {"s": scale, "b": shift},
                   ("N", 4, 3, 3), opset=18)  # fmt: skip
    groups = x.reshape(3, 2, -1).astype(np.float64)
    normal = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    wanted = (normal * scale[:, None] + shift[:, None]).reshape(x.shape)
    np.testing.assert_allclose(minidl.onnx.load(content).predict(x), wanted, rtol=0, atol=1e-5)
    one("LayerNormalization", floats(1), floats(1, seed=2), axis=1)


def test_slopes():
    one("PRelu", floats(1))
    one("PRelu", floats(3, 1, 1))
    one("PRelu", floats(4), shape=(4,))


def test_gates():
    silu = [operator("Sigmoid", ["x"], ["a"]), operator("Mul", ["a", "x"], ["y"])]
    assert [type(layer) for layer in agrees(file(silu), X).plan()] == [minidl.Silu]
    swish = [operator("HardSigmoid", ["x"], ["a"], alpha=1 / 6), operator("Mul", ["x", "a"], ["y"])]
    assert [type(layer) for layer in agrees(file(swish), X).plan()] == [minidl.HardSwish]
    mish = [
        operator("Softplus", ["x"], ["a"]),
        operator("Tanh", ["a"], ["b"]),
        operator("Mul", ["b", "x"], ["y"]),
    ]
    assert [type(layer) for layer in agrees(file(mish), X).plan()] == [minidl.Mish]
    old = [
        operator("Add", ["x", "three"], ["a"]),
        operator("Clip", ["a", "zero", "six"], ["b"]),
        operator("Mul", ["x", "b"], ["c"]),
        operator("Div", ["c", "six"], ["y"]),
    ]
    numbers = {"zero": np.float32(0), "three": np.float32(3), "six": np.float32(6)}
    gelu = [
        operator("Div", ["x", "root"], ["a"]),
        operator("Erf", ["a"], ["b"]),
        operator("Add", ["b", "one"], ["c"]),
        operator("Mul", ["x", "c"], ["d"]),
        operator("Mul", ["d", "half"], ["y"]),
    ]
    halves = {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    assert [type(layer) for layer in agrees(file(gelu, halves), X).plan()] == [minidl.Gelu]
    gelu[3:] = [operator("Mul", ["x", "half"], ["d"]), operator("Mul", ["d", "c"], ["y"])]
    assert [type(layer) for layer in agrees(file(gelu, halves), X).plan()] == [minidl.Gelu]
    assert [type(layer) for layer in agrees(file(old, numbers), X).plan()] == [minidl.HardSwish]


def test_dropout_is_a_layer_without_effect_on_predictions():
    assert one("Dropout", np.float32(0.25)).plan()[0].rate == 0.25
    assert one("Dropout", opset=7, ratio=0.75).plan()[0].rate == 0.75


def test_shapes():
    one("Flatten")
    one("Reshape", ints(0, 5, 18))
    one("Reshape", ints(-1, 90))
    one("Reshape", ints(0, -1, 5))
    one("Squeeze", ints(2, 3), shape=(3, 1, 1))
    one("Squeeze", opset=11, axes=[2], shape=(3, 1, 5))
    one("Unsqueeze", ints(2, 3), shape=(3,))
    one("Unsqueeze", opset=11, axes=[-1, 1], shape=(3,))
    one("Transpose", perm=[0, 2, 3, 1])
    one("Expand", ints(1, 3, 4, 5), shape=(3, 1, 1))


def test_cuts():
    one("Slice", ints(1), ints(3), ints(1))
    one("Slice", ints(-3, 1), ints(2**31 - 1, 4), ints(2, 3), ints(1, 2))
    one("Slice", ints(-1), ints(-(2**31)), ints(3), ints(-1))
    for start, end in ((-9, -20), (-7, -8), (-9, -(2**31)), (9, 0)):  # a start before the first place is the first
        one("Slice", ints(start), ints(end), ints(2), ints(-2))
    one("Slice", opset=9, starts=[1, 0], ends=[5, 3], axes=[2, 3])
    one("Slice", ints(0), ints(2**62), ints(0))
    one("Gather", np.array(1), axis=1)
    one("Gather", ints(2, 1, 0), axis=1)
    one("Gather", ints(-1), axis=3)
    one("Gather", ints(0, 1, 1, 4, 2), axis=2)
    one("Gather", ints(2, 0, 0, 1).reshape(2, 2), axis=1, shape=(3,))


def test_parts():
    two = ("y", "z")
    one("Split", ints(1, 2), axis=1, outputs=two)
    one("Split", axis=2, outputs=two)
    one("Split", opset=11, axis=3, split=[2, 3], outputs=two)
    one("Split", opset=18, axis=3, num_outputs=2, outputs=two)
    nodes = [operator("Relu", ["x"], ["a"]), operator("Concat", ["x", "a", "x"], ["y"], axis=-3)]
    agrees(file(nodes), X)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_padding(mode):
    one("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), mode=mode)
    one("Pad", opset=2, pads=[0, 0, 1, 2, 0, 0, 3, 0], mode=mode)


def test_padding_of_axes_with_a_value():
    one("Pad", ints(1, 2, 0, 1), np.float32(-1.5), ints(2, 3), opset=18)


@pytest.mark.parametrize("transformation", ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_sizes(transformation, mode):
    settings = {"mode": mode, "coordinate_transformation_mode": transformation}
    one("Resize", None, np.array([1, 1, 2, 1.5], np.float32), **settings)
    if mode == "nearest":
        for rounding in ("floor", "ceil", "round_prefer_ceil"):
            one("Resize", None, np.array([1, 1, 2, 0.6], np.float32), nearest_mode=rounding, **settings)
    node = operator("Resize", ["x", "", "", "sizes"], ["y"], **settings)
    content = file([node], {"sizes": ints(3, 3, 4, 9)}, (3, 3, 6, 5))
    np.testing.assert_allclose(minidl.onnx.load(content).predict(X), expected(content, X)[0], rtol=0, atol=4e-6)


def test_shuffles():
    one("DepthToSpace", blocksize=2, shape=(8, 3, 2))
    one("DepthToSpace", blocksize=2, mode="CRD", shape=(8, 3, 2))
    one("SpaceToDepth", blocksize=2, shape=(3, 4, 6))


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax", "ReduceSum"])
@pytest.mark.parametrize("axes", [[2, 3], [1], [-1], [1, 2, 3]])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions(kind, axes, keep):
    if keep or len(axes) < 3:
        one(kind, ints(*axes), opset=18, keepdims=keep)
        if kind != "ReduceSum":
            one(kind, opset=11, axes=axes, keepdims=keep)


def test_softmax_before_and_after_version_13():
    one("Softmax", axis=1)
    one("Softmax")
    one("LogSoftmax", axis=-2)
    one("Softmax", opset=11, axis=2)
    one("Softmax", opset=11, shape=(7,))
