"""Every layer, in training and inference: forward and backward against central differences, on every backend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from layers.numeric import check_gradients

from minidl.layers import (
    AdaptiveAvgPool2D,
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    ChannelShuffle,
    Conv2D,
    ConvTranspose2D,
    Dropout,
    Elu,
    Flatten,
    Gelu,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    InstanceNorm2D,
    Layer,
    LayerNorm,
    LeakyRelu,
    Linear,
    LocalResponseNorm,
    MaxPool2D,
    Pad2D,
    PixelShuffle,
    PixelUnshuffle,
    Relu,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Slice,
    Softplus,
    Tanh,
    Transpose,
    Upsample,
    activation,
    arithmetic,
    elementwise,
    reduce,
)
from minidl.layers.arithmetic import Affine, Arithmetic, PRelu
from minidl.layers.elementwise import Clip, Elementwise, HardSigmoid, HardSwish, Mish, Relu6, Selu, Silu
from minidl.layers.reduce import LogSoftmax, Max, Mean, Softmax, Sum

CASES: dict[str, tuple[Callable[[], Layer], tuple[int, ...]]] = {
    "conv": (lambda: Conv2D(2, 3, 3, rng=0), (2, 2, 5, 4)),
    "conv_padding": (lambda: Conv2D(2, 2, (3, 2), padding=(1, 0), rng=0), (2, 2, 3, 4)),
    "conv_stride": (lambda: Conv2D(1, 2, (2, 3), stride=(2, 1), padding=1, rng=0), (3, 1, 4, 3)),
    "conv_dilation": (lambda: Conv2D(1, 2, 2, dilation=(2, 1), bias=False, rng=0), (2, 1, 4, 3)),
    "conv_groups": (lambda: Conv2D(4, 2, 2, groups=2, rng=0), (2, 4, 3, 3)),
    "conv_four_sides": (lambda: Conv2D(2, 2, 3, padding=((0, 1), (2, 0)), rng=0), (2, 2, 3, 4)),
    "conv_same_strided": (lambda: Conv2D(2, 2, 2, stride=2, padding="same", rng=0), (2, 2, 3, 5)),
    "conv_transpose": (lambda: ConvTranspose2D(2, 3, 3, stride=2, padding=1, output_padding=1, rng=0), (2, 2, 3, 2)),
    "conv_transpose_groups": (
        lambda: ConvTranspose2D(4, 2, 2, padding=((0, 1), (0, 0)), dilation=(1, 2), groups=2, bias=False, rng=0),
        (2, 4, 2, 3),
    ),
    "conv_1x1_depthwise": (lambda: Conv2D(3, 3, 1, groups=3, rng=0), (2, 3, 2, 2)),
    "maxpool": (lambda: MaxPool2D(2), (2, 2, 4, 5)),
    "maxpool_overlap": (lambda: MaxPool2D((3, 2), stride=(1, 2), padding=(1, 0)), (2, 1, 4, 5)),
    "maxpool_ceil": (lambda: MaxPool2D(2, ceil_mode=True), (2, 2, 3, 5)),
    "maxpool_dilated": (lambda: MaxPool2D(2, 1, padding=((0, 1), (1, 0)), dilation=2), (2, 1, 4, 5)),
    "maxpool_same": (lambda: MaxPool2D(3, 2, padding="same"), (2, 1, 4, 5)),
    "avgpool": (lambda: AvgPool2D(2), (2, 2, 5, 4)),
    "avgpool_overlap": (lambda: AvgPool2D((2, 3), stride=1, padding=1), (2, 1, 3, 4)),
    "avgpool_ceil": (lambda: AvgPool2D(3, 2, 1, ceil_mode=True), (2, 1, 4, 5)),
    "avgpool_image": (lambda: AvgPool2D(3, 2, ((0, 1), (2, 0)), count_include_pad=False), (2, 1, 4, 5)),
    "adaptive_avgpool": (lambda: AdaptiveAvgPool2D((3, 2)), (2, 2, 4, 5)),
    "global_maxpool": (lambda: GlobalMaxPool2D(), (2, 3, 3, 2)),
    "instance_norm_2d": (lambda: InstanceNorm2D(2), (2, 2, 3, 2)),
    "instance_norm_affine": (lambda: InstanceNorm2D(2, 1e-3, affine=True), (2, 2, 3, 2)),
    "local_response": (lambda: LocalResponseNorm(3, alpha=0.5), (2, 4, 2, 3)),
    "global_avgpool": (lambda: GlobalAvgPool2D(), (2, 3, 3, 2)),
    "linear": (lambda: Linear(5, 3, rng=0), (4, 5)),
    "linear_no_bias": (lambda: Linear(2, 3, bias=False, rng=0), (1, 2)),
    "relu": (lambda: Relu(), (3, 2, 3, 2)),
    "relu_2d": (lambda: Relu(), (3, 4)),
    "sigmoid": (lambda: Sigmoid(), (3, 4)),
    "tanh": (lambda: Tanh(), (2, 2, 2, 3)),
    "leaky_relu": (lambda: LeakyRelu(0.2), (2, 2, 2, 3)),
    "elu": (lambda: Elu(1.5), (3, 4)),
    "gelu": (lambda: Gelu(), (2, 2, 2, 3)),
    "gelu_2d": (lambda: Gelu(), (3, 4)),
    "softplus": (lambda: Softplus(), (2, 2, 2, 3)),
    "gelu_tanh": (lambda: Gelu("tanh"), (2, 2, 2, 3)),
    "relu6": (lambda: Relu6(), (2, 5, 3, 6)),
    "clip": (lambda: Clip(-1, 0.7), (5, 6)),
    "clip_low": (lambda: Clip(low=0.3), (2, 3, 2, 2)),
    "silu": (lambda: Silu(), (2, 3, 2, 2)),
    "hard_sigmoid": (lambda: HardSigmoid(), (2, 5, 3, 4)),
    "hard_sigmoid_onnx": (lambda: HardSigmoid(0.2), (5, 13)),
    "hard_swish": (lambda: HardSwish(), (2, 5, 3, 4)),
    "selu": (lambda: Selu(), (2, 3, 2, 2)),
    "mish": (lambda: Mish(), (2, 3, 2, 2)),
    "elementwise": (lambda: Sequential(Elementwise("exp"), Elementwise("log"), Elementwise("erf")), (3, 7)),
    "elementwise_power": (lambda: Elementwise("pow", 3), (3, 2, 2, 2)),
    "elementwise_abs": (lambda: Elementwise("abs"), (3, 2, 5)),
    "affine": (lambda: Affine(3), (4, 3, 2, 2)),
    "affine_2d": (lambda: Affine(5, shift=False), (3, 5)),
    "affine_shift": (lambda: Affine(2, scale=False), (3, 2, 1, 3)),
    "prelu": (lambda: PRelu(3), (4, 3, 2, 2)),
    "prelu_of_one": (lambda: PRelu(), (3, 2, 2, 2)),
    "prelu_2d": (lambda: PRelu(4, -0.5), (3, 4)),
    "arithmetic": (lambda: Arithmetic("*", 3.5), (3, 4)),
    "arithmetic_array": (lambda: Arithmetic("-", [[[1.0]], [[2.0]]], reverse=True), (3, 2, 2, 2)),
    "arithmetic_larger": (lambda: Arithmetic("/", np.arange(1, 7).reshape(2, 3)), (3, 2, 1, 1)),
    "arithmetic_reverse": (lambda: Arithmetic("/", 2, True), (3, 2, 5)),
    "softmax": (lambda: Softmax(), (3, 4, 2, 2)),
    "softmax_2d": (lambda: Softmax(-1), (3, 5)),
    "softmax_maps": (lambda: Softmax((2, 3)), (2, 3, 2, 3)),
    "log_softmax": (lambda: LogSoftmax(), (3, 4, 2, 2)),
    "mean": (lambda: Mean((2, 3)), (3, 4, 2, 3)),
    "mean_channels": (lambda: Mean(1, keepdims=True), (3, 4, 2, 3)),
    "sum": (lambda: Sum((1, -1), True), (3, 4, 2, 3)),
    "sum_to_maps": (lambda: Sum(1), (3, 4, 2, 3)),
    "max": (lambda: Max((-2, -1)), (3, 4, 2, 3)),
    "max_channels": (lambda: Max(1, True), (3, 4, 2)),
    "groupnorm": (lambda: GroupNorm(2, 4), (3, 4, 2, 3)),
    "groupnorm_2d": (lambda: GroupNorm(3, 6, eps=1e-3), (4, 6)),
    "instance_norm": (lambda: GroupNorm(2, 2), (2, 2, 3, 2)),
    "layernorm": (lambda: LayerNorm(5), (3, 5)),
    "layernorm_image": (lambda: LayerNorm((2, 3, 2)), (3, 2, 3, 2)),
    "layernorm_maps": (lambda: LayerNorm((3, 2), eps=1e-2), (2, 2, 3, 2)),
    "batchnorm2d": (lambda: BatchNorm2D(3), (3, 3, 2, 2)),
    "batchnorm1d": (lambda: BatchNorm1D(4, eps=1e-3, momentum=0.5), (5, 4)),
    "flatten": (lambda: Flatten(), (2, 2, 3, 2)),
    "reshape": (lambda: Reshape((3, -1, 2)), (2, 12)),
    "reshape_3d": (lambda: Reshape((4, 3)), (2, 12)),
    "slice": (lambda: Slice(1, -1, axis=(2, 3)), (2, 2, 4, 5)),
    "slice_backwards": (lambda: Slice((None, 2), (None, None), (-2, 1), (3, 1)), (2, 4, 2, 5)),
    "slice_2d": (lambda: Slice(-3), (3, 5)),
    "pad": (lambda: Pad2D((1, 2), value=3.0), (2, 2, 3, 2)),
    "pad_reflect": (lambda: Pad2D((2, 0, 1, 3), "reflect"), (2, 2, 3, 4)),
    "pad_edge": (lambda: Pad2D((2, -1, 0, 3), "edge"), (2, 2, 3, 4)),
    "pad_wrap": (lambda: Pad2D(2, "wrap"), (2, 1, 2, 3)),
    "crop": (lambda: Pad2D((-1, 0, -1, -2)), (2, 2, 4, 4)),
    "transpose": (lambda: Transpose((0, 2, 3, 1)), (2, 3, 2, 4)),
    "transpose_3d": (lambda: Sequential(Reshape((2, 6)), Transpose((0, 2, 1)), Flatten()), (2, 12)),
    "pixel_shuffle": (lambda: PixelShuffle(2), (2, 8, 2, 3)),
    "pixel_shuffle_dcr": (lambda: PixelShuffle(2, "dcr"), (2, 8, 2, 3)),
    "pixel_unshuffle": (lambda: PixelUnshuffle(3), (2, 2, 3, 6)),
    "pixel_unshuffle_dcr": (lambda: PixelUnshuffle(2, "dcr"), (2, 3, 4, 2)),
    "channel_shuffle": (lambda: ChannelShuffle(3), (2, 6, 2, 3)),
    "channel_shuffle_2d": (lambda: ChannelShuffle(2), (3, 4)),
    "upsample": (lambda: Upsample(2), (2, 2, 2, 3)),
    "upsample_size": (lambda: Upsample(size=(5, 2), coordinates="half_pixel", rounding="ceil"), (2, 2, 3, 4)),
    "upsample_bilinear": (lambda: Upsample((2, 1.5), mode="bilinear"), (2, 2, 2, 3)),
    "upsample_corners": (lambda: Upsample(None, (3, 7), "bilinear", "align_corners"), (2, 2, 4, 3)),
    "sequential": (
        lambda: Sequential(
            Conv2D(1, 2, 3, padding=1, rng=0),
            BatchNorm2D(2),
            Tanh(),
            AvgPool2D(2),
            Flatten(),
            Linear(8, 3, rng=1),
        ),
        (3, 1, 4, 4),
    ),
    "sequential_windows": (
        lambda: Sequential(
            Conv2D(1, 2, 2, stride=2, padding="same", rng=0),
            Relu(),
            MaxPool2D(2, ceil_mode=True),
            BatchNorm2D(2),
            Relu(),
            AvgPool2D(2, 1, ((1, 0), (0, 1)), count_include_pad=False),
        ),
        (3, 1, 5, 6),
    ),
    "residual": (lambda: Residual(Sequential(Conv2D(2, 2, 3, padding=1, rng=0), Sigmoid())), (2, 2, 3, 3)),
    "residual_shortcut": (
        lambda: Residual(Conv2D(2, 3, 3, 2, 1, rng=0), Sequential(Conv2D(2, 3, 1, 2, rng=1), BatchNorm2D(3))),
        (3, 2, 4, 4),
    ),
}


def test_every_layer_of_these_families_has_a_case() -> None:
    names = {name for family in (activation, arithmetic, elementwise, reduce) for name in family.__all__}
    assert names <= {type(make()).__name__ for make, _ in CASES.values()} | {"Elementwise", "Div", "Mul", "Sub"}


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("train", [True, False], ids=["train", "inference"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_central_differences(case: str, train: bool, rng: np.random.Generator) -> None:
    make, shape = CASES[case]
    layer = make()
    for parameter in layer.parameters():  # away from the zeros and ones of a fresh layer
        parameter.data += rng.uniform(-0.5, 0.5, parameter.data.shape).astype(np.float32)
    # Distinct numbers, at least 0.05 apart and 0.05 from zero: no kink within the step of the difference.
    x = (rng.permutation(np.prod(shape)) - np.prod(shape) // 2 + 0.5).reshape(shape) * 0.1
    check_gradients(layer, x, rng, train)


@pytest.mark.usefixtures("any_backend")
def test_dropout_gradient(rng: np.random.Generator) -> None:
    layer = Dropout(0.4)

    def repeat() -> None:
        layer.rng = np.random.default_rng(7)

    check_gradients(layer, rng.standard_normal((3, 2, 3, 2)), rng, True, repeat)


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_batches_of_none_and_one(case: str, n: int) -> None:
    make, shape = CASES[case]
    layer = make()
    x = np.ones((n, *shape[1:]), np.float32)
    y = layer.forward(x, train=False)
    assert y.shape == (n, *layer.output_shape(shape[1:]))
    dx = layer.backward(np.ones_like(y))
    assert dx.shape == x.shape
    assert all(np.isfinite(p.grad).all() for p in layer.parameters())
    if n == 0:
        assert all(not p.grad.any() for p in layer.parameters())
