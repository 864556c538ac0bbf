"""Operations out of a plan's steps, layer by layer; `Unlowered` where a layer has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.compiled.operation import (
    Affine,
    Arithmetic,
    Channels,
    Convolution,
    Element,
    Lengths,
    Operation,
    Pooling,
    Routing,
    Squash,
    TransposedConvolution,
)
from minidl.compiled.value import Value, View
from minidl.layers import (
    AdaptiveAvgPool2D,
    Add,
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    CapsuleLength,
    Capsules,
    ChannelShuffle,
    Clip,
    Concat,
    Conv2D,
    ConvTranspose2D,
    Div,
    Dropout,
    Elementwise,
    Elu,
    Flatten,
    Gelu,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Linear,
    MaxPool2D,
    Mish,
    Mul,
    PrimaryCapsules,
    Relu,
    Relu6,
    Reshape,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Split,
    Sub,
    Tanh,
)
from minidl.layers import Affine as AffineLayer

Rule = Callable[..., Any]
"""(lowering, layer, views) -> view, or list of views."""
MOST_PACKED = 4 << 20
"""Bytes of a linear layer's weights: of more, reading them takes all the time, and a packed copy only memory."""


UNSETTLED = {"across", "first_row", "init", "kernels", "momentum", "name", "need_dx", "rate", "rng", "run_number"}
"""Attributes of layers that no prediction depends on."""


class Unlowered(Exception):
    """A layer that compiled predictions do not know, or not for this input."""


class Lowering:
    """Collects operations.

    dtype: of the program; watch: of each array and setting that it has taken in; label: of the layer being lowered.
    """

    def __init__(self, dtype: np.dtype, watch: Any) -> None:
        self.dtype, self.watch = dtype, watch
        self.operations: list[Operation] = []
        self.label = ""

    convolution: type[Convolution] = Convolution
    """What convolutions and linear layers become."""
    transposed: type[TransposedConvolution] = TransposedConvolution
    routing: type[Routing] = Routing
    """What capsules above others become."""

    def rule(self, layer: Any) -> Rule | None:
        """How a layer is lowered: by its own class, or the one that this class says it predicts as."""
        kind = type(layer)
        return RULES.get(vars(kind).get("predicts_as", kind))

    def lower(self, label: str, layer: Any, views: Sequence[View]) -> list[View]:
        """The outputs of one step. Raises Unlowered, and then has added nothing."""
        rule = self.rule(layer)
        if rule is None:
            raise Unlowered(f"{label}: {type(layer).__name__}")
        before = len(self.operations)
        self.label = label
        self.watch.take_settings(layer, settings(layer))
        try:
            found = rule(self, layer, *views)
        except Unlowered:
            del self.operations[before:]
            raise
        return found if isinstance(found, list) else [found]

    def add(self, kind: type[Operation], shape: Sequence[int], x: Value, **settings: Any) -> View:
        """A new operation; shape: (C, H, W), (F,) or (I, D), of its result."""
        view = View.of(shape)
        self.operations.append(kind(view.value, x, [self.label], **settings))
        return view

    def take(self, layer: Any, attribute: str) -> np.ndarray:
        """The array of a parameter or buffer, from now on watched."""
        self.watch.take(layer, attribute)
        held = getattr(layer, attribute)
        return held if isinstance(held, np.ndarray) else held.data

    def number(self, layer: Any, attribute: str) -> np.ndarray | None:
        """As `take`, in float64; None where the layer has none."""
        return None if getattr(layer, attribute) is None else self.take(layer, attribute).astype(np.float64)


def settings(layer: Any) -> list[str]:
    """The attributes of a layer, other than arrays, that decide what it computes."""
    left = UNSETTLED | ({"padding"} if isinstance(getattr(layer, "_padding", None), str) else set())
    return [
        name
        for name, value in vars(layer).items()
        if (name in ("_kind", "_padding", "_parameters") or not name.startswith("_"))
        and name not in left
        and (value is None or isinstance(value, (bool, int, float, str, tuple)))
    ]


def image(view: View) -> Value:
    """The value behind a view that is an image, or a row of single pixels."""
    value = view.image()
    if value is None:
        raise Unlowered(f"an array that stands as {view.value.shape} and is read as {view.shape}")
    return value


def capsules(view: View) -> Value:
    """The value behind a view of capsules."""
    value = view.capsules()
    if value is None:
        raise Unlowered(f"an array that stands as {view.value.shape} and is read as capsules {view.shape}")
    return value


def _conv(lowering: Lowering, layer: Conv2D, view: View) -> View:
    x = image(view)
    shape = layer._check((1, *view.shape))[1:]
    return lowering.add(
        lowering.convolution,
        shape,
        x,
        layer=layer,
        kernel=lowering.take(layer, "weight").shape,
        shift=lowering.number(layer, "bias"),
        stride=layer.stride,
        padding=layer.padding if not isinstance(layer._padding, str) else layer._padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )


def _conv_transpose(lowering: Lowering, layer: ConvTranspose2D, view: View) -> View:
    x = image(view)
    shape = layer._check((1, *view.shape))[1:]
    found = lowering.add(
        lowering.transposed,
        shape,
        x,
        layer=layer,
        kernel=lowering.take(layer, "weight").shape,
        shift=lowering.number(layer, "bias"),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )
    made = lowering.operations[-1]
    assert isinstance(made, TransposedConvolution)
    rows, columns = made.axes()
    if not all(phase.taps for phase in (*rows, *columns)):
        raise Unlowered("a transposed convolution that leaves pixels out")
    return found


def _linear(lowering: Lowering, layer: Linear, view: View) -> View:
    x = view.value
    if len(view.shape) != 1:
        raise Unlowered("a linear layer of images")
    if layer.weight.grad.nbytes > MOST_PACKED:
        raise Unlowered("a linear layer whose weights are better read where they stand")
    lowering.take(layer, "weight")
    kernel, shift = (layer.out_features, *x.shape), lowering.number(layer, "bias")
    kind = lowering.convolution
    return lowering.add(kind, (layer.out_features,), x, layer=layer, kernel=kernel, shift=shift, linear=True)


def _norm(lowering: Lowering, layer: Any, view: View) -> View:
    gamma, beta, mean, var = (
        lowering.take(layer, name).astype(np.float64) for name in ("gamma", "beta", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(var + layer.eps)
    return lowering.add(Affine, view.shape, image(view), scale=scale, shift=beta - mean * scale, dtype=lowering.dtype)


def _affine(lowering: Lowering, layer: AffineLayer, view: View) -> View:
    scale, shift = (lowering.number(layer, name) for name in ("scale", "shift"))
    scale = np.ones(layer.channels) if scale is None else scale
    shift = np.zeros(layer.channels) if shift is None else shift
    return lowering.add(Affine, view.shape, image(view), scale=scale, shift=shift, dtype=lowering.dtype)


def _maxpool(lowering: Lowering, layer: MaxPool2D, view: View) -> View:
    shape = layer._check((1, *view.shape))[1:]
    return lowering.add(Pooling, shape, image(view), way="max", window=layer.window)


def _avgpool(lowering: Lowering, layer: AvgPool2D, view: View) -> View:
    shape = layer._check((1, *view.shape))[1:]
    return lowering.add(Pooling, shape, image(view), way="avg", window=layer.window)


def _bins(lowering: Lowering, layer: AdaptiveAvgPool2D, view: View) -> View:
    return lowering.add(Pooling, layer._check((1, *view.shape))[1:], image(view), way="bins")


def _global_mean(lowering: Lowering, layer: GlobalAvgPool2D, view: View) -> View:
    return lowering.add(Pooling, view.shape[:1], image(view), way="bins")


def _global_maximum(lowering: Lowering, layer: GlobalMaxPool2D, view: View) -> View:
    window = view.shape[1:], (1, 1), (0, 0)
    return lowering.add(Pooling, view.shape[:1], image(view), way="max", window=window)


def _reshape(lowering: Lowering, layer: Any, view: View) -> View:
    return View(view.value, tuple(layer._check((1, *view.shape))[1:]))


def _same(lowering: Lowering, layer: Any, view: View) -> View:
    return view


def _function(kind: str, a: str = "", b: str = "") -> Callable[..., View]:
    """An activation; a, b: the attributes that have its parameters."""

    def rule(lowering: Lowering, layer: Any, view: View) -> View:
        parameters = tuple(float(getattr(layer, name)) if name else 0.0 for name in (a, b))
        return lowering.add(Element, view.shape, image(view), function=(kind, *parameters))

    return rule


def _elementwise(lowering: Lowering, layer: Any, view: View) -> View:
    return lowering.add(Element, view.shape, image(view), function=(layer._kind, *layer._parameters))


def _gelu(lowering: Lowering, layer: Any, view: View) -> View:
    kind = "gelu_tanh" if layer.approximate == "tanh" else "gelu"
    return lowering.add(Element, view.shape, image(view), function=(kind, 0.0, 0.0))


def _arithmetic(lowering: Lowering, layer: Any, *views: View) -> View:
    result = views[0]
    for other in views[1:]:
        a, b = image(result), image(other)
        if a.shape[0] != b.shape[0] or len(result.shape) != len(other.shape):
            raise Unlowered("operands of different channels")
        shape = tuple(n if m == 1 else m for m, n in zip(result.shape, other.shape))
        result = lowering.add(Arithmetic, shape, a, other=b, sign=layer._operator)
    return result


def _concat(lowering: Lowering, layer: Concat, *views: View) -> View:
    if layer.axis != 1:
        raise Unlowered("images side by side")
    parts = [(image(view), list(range(view.shape[0]))) for view in views]
    shape = (sum(view.shape[0] for view in views), *views[0].shape[1:])
    return lowering.add(Channels, shape, parts[0][0], parts=parts)


def _split(lowering: Lowering, layer: Split, view: View) -> list[View]:
    if layer.axis != 1:
        raise Unlowered("parts of images")
    found, start = [], 0
    for shape, _ in layer._plan(view.shape):
        parts = [(image(view), list(range(start, start + shape[0])))]
        found.append(lowering.add(Channels, shape, image(view), parts=parts))
        start += shape[0]
    return found


def _shuffle(lowering: Lowering, layer: ChannelShuffle, view: View) -> View:
    order = np.arange(view.shape[0]).reshape(layer.groups, -1).T.ravel().tolist()
    return lowering.add(Channels, view.shape, image(view), parts=[(image(view), order)])


def _squash(lowering: Lowering, layer: PrimaryCapsules, view: View) -> View:
    return lowering.add(Squash, layer._check((1, *view.shape))[1:], image(view))


def _routing(lowering: Lowering, layer: Capsules, view: View) -> View:
    lowering.take(layer, "weight")
    return lowering.add(lowering.routing, layer._check((1, *view.shape))[1:], capsules(view), layer=layer)


def _lengths(lowering: Lowering, layer: CapsuleLength, view: View) -> View:
    return lowering.add(Lengths, view.shape[:1], capsules(view))


RULES: dict[type, Rule] = {
    Conv2D: _conv,
    ConvTranspose2D: _conv_transpose,
    Linear: _linear,
    BatchNorm1D: _norm,
    BatchNorm2D: _norm,
    AffineLayer: _affine,
    MaxPool2D: _maxpool,
    AvgPool2D: _avgpool,
    AdaptiveAvgPool2D: _bins,
    GlobalAvgPool2D: _global_mean,
    GlobalMaxPool2D: _global_maximum,
    Flatten: _reshape,
    Reshape: _reshape,
    Dropout: _same,
    Relu: _function("relu"),
    Sigmoid: _function("sigmoid"),
    Tanh: _function("tanh"),
    Softplus: _function("softplus"),
    LeakyRelu: _function("leaky_relu", "slope"),
    Elu: _function("elu", "alpha"),
    Gelu: _gelu,
    **dict.fromkeys((Clip, Elementwise, HardSigmoid, HardSwish, Mish, Relu6, Selu, Silu), _elementwise),
    **dict.fromkeys((Add, Div, Mul, Sub), _arithmetic),
    Concat: _concat,
    Split: _split,
    ChannelShuffle: _shuffle,
    PrimaryCapsules: _squash,
    Capsules: _routing,
    CapsuleLength: _lengths,
}
"""How each layer is lowered. Only minidl's own classes: a subclass may compute something else."""
