"""Channels in lanes against the reference backend: layers over awkward shapes, networks of chance, every instruction
set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

import minidl
from minidl import kernels
from minidl.layers.base import Layer

native = pytest.importorskip("minidl.kernels.native")
choice = pytest.importorskip("minidl.compiled.choice")

CLOSE = {"float32": 5e-6, "float64": 1e-13}


@pytest.fixture(autouse=True)
def _channels() -> Iterator[None]:
    isa = native.isa()
    choice.use_layout("channels")
    with kernels.use("native"):
        yield
    choice.use_layout("auto")
    native.use_isa(isa)


def compiled_only(model: minidl.Model, x: np.ndarray) -> np.ndarray:
    """Scores of the compiled prediction, which must exist."""
    y = model.predict(x)
    made = [found for found in model._plan().compiled.values() if found is not None]
    assert made, "not compiled"
    assert all(found.nbytes()[1] > 0 for found in made)
    return np.asarray(y)


def check(model: minidl.Model, x: np.ndarray, exact: bool = False) -> None:
    y = compiled_only(model, x)
    with kernels.use("reference"):
        reference = np.asarray(model.predict(x))
    assert y.shape == reference.shape
    assert y.dtype == reference.dtype
    if exact:
        np.testing.assert_array_equal(y, reference)
    else:
        limit = CLOSE[model.dtype.name] * max(float(np.abs(reference).max()), 1e-30)
        np.testing.assert_allclose(y, reference, rtol=0, atol=limit)


def scattered(model: minidl.Model, rng: np.random.Generator) -> minidl.Model:
    """Parameters and statistics away from 0 and 1."""
    for name, buffer in model.buffers().items():
        buffer[...] = rng.uniform(0.5, 1.5, buffer.shape) if name.endswith("var") else rng.normal(0, 0.2, buffer.shape)
    for name, parameter in model.named_parameters().items():
        if not name.endswith("weight"):
            parameter.data[...] = rng.uniform(0.5, 1.5, parameter.data.shape)
    return model


CONVOLUTIONS = [
    # C, O, H, W, kernel, stride, padding, dilation, groups
    (1, 1, 1, 1, 1, 1, 0, 1, 1),
    (1, 6, 7, 5, 5, 1, 2, 1, 1),
    (3, 16, 9, 9, 3, 1, 1, 1, 1),
    (3, 17, 15, 13, 7, 2, 3, 1, 1),
    (4, 33, 11, 12, 3, 4, 1, 1, 1),
    (3, 8, 23, 23, 11, 4, 2, 1, 1),
    (8, 8, 6, 6, 3, 1, 1, 1, 1),
    (9, 31, 7, 7, 3, 1, 1, 1, 1),
    (16, 16, 14, 14, 3, 1, 1, 1, 1),
    (16, 32, 14, 14, 3, 2, 1, 1, 1),
    (20, 40, 5, 9, (1, 3), (1, 2), (0, 1), 1, 1),
    (24, 10, 13, 3, (3, 1), (2, 1), (1, 0), 1, 1),
    (16, 24, 4, 4, 1, 1, 0, 1, 1),
    (17, 50, 7, 7, 1, 1, 0, 1, 1),
    (33, 16, 9, 9, 1, 2, 0, 1, 1),
    (12, 20, 10, 10, 3, 1, 2, 2, 1),
    (12, 20, 11, 9, 3, 2, ((2, 1), (0, 3)), (2, 1), 1),
    (16, 16, 8, 8, 4, 1, "same", 1, 1),
    (16, 16, 9, 9, 3, 2, "same_lower", 1, 1),
    (8, 8, 7, 7, 3, 1, 1, 1, 8),
    (24, 24, 9, 6, 3, 2, 1, 1, 24),
    (19, 19, 9, 6, 5, 1, 2, 2, 19),
    (40, 40, 7, 7, 7, 1, 3, 1, 40),
    (8, 16, 6, 6, 3, 1, 1, 1, 2),
    (12, 24, 6, 6, 3, 1, 1, 1, 4),
    (32, 32, 6, 6, 3, 1, 1, 1, 2),
    (64, 64, 5, 5, 3, 1, 1, 1, 32),
    (20, 30, 6, 6, 3, 1, 1, 1, 10),
    (48, 128, 9, 8, 5, 1, 2, 1, 2),
    (60, 96, 7, 7, 3, 2, 1, 1, 3),
    (66, 36, 6, 5, 3, 1, 1, 1, 6),
    (90, 64, 3, 7, 1, 1, 0, 1, 2),
    (264, 64, 5, 5, 5, 1, 2, 1, 2),
    (44, 32, 9, 9, 3, 1, 2, 2, 2),
    (16, 48, 6, 6, 3, 1, 1, 1, 16),
    (20, 20, 9, 17, 3, 1, 1, 1, 5),
    (24, 24, 13, 11, 3, 2, 1, 1, 3),
    (36, 36, 8, 9, (5, 3), (1, 2), (4, 1), (2, 1), 9),
    (40, 40, 7, 30, 3, 1, (0, 1), 1, 5),
    (6, 6, 5, 4, 1, 1, 0, 1, 3),
    (32, 128, 6, 6, 3, 2, 1, 1, 2),
    (64, 64, 1, 1, 3, 1, 1, 1, 1),
    (520, 20, 3, 3, 3, 1, 1, 1, 1),
    (2, 16, 1, 40, (1, 5), (1, 3), 0, 1, 1),
    (20, 40, 11, 10, 5, 1, 2, 1, 1),
    (64, 33, 5, 7, 5, 1, 1, 1, 1),
    (256, 16, 6, 9, 5, 1, 0, 1, 1),
    (33, 17, 4, 3, 5, 1, ((4, 3), (1, 2)), 1, 1),
    (256, 32, 8, 9, 3, 1, 1, 1, 1),
    (288, 32, 8, 9, 3, 1, 1, 1, 1),
]


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convolution(case: tuple, dtype: str, isa: str) -> None:
    c, o, h, w, kernel, stride, padding, dilation, groups = case
    rng = np.random.default_rng(0)
    layer = minidl.Conv2D(c, o, kernel, stride, padding, dilation, groups, rng=1)
    model = scattered(minidl.Model(layer, dtype=dtype), rng)
    for n in (1, 3):
        check(model, rng.normal(0, 1, (n, c, h, w)).astype(dtype))
    layer.weight.data[...] = rng.integers(-2, 3, layer.weight.data.shape)
    layer.bias.data[...] = rng.integers(-2, 3, o)
    # Winograd's form has roots in it; all others leave whole numbers whole.
    check(model, rng.integers(-2, 3, (2, c, h, w)).astype(dtype), exact="winograd" not in model.compile_info())


TRANSPOSED = [
    # C, O, H, W, kernel, stride, padding, output_padding, dilation, groups
    (1, 1, 1, 1, 1, 1, 0, 0, 1, 1),
    (16, 8, 5, 7, 2, 2, 0, 0, 1, 1),
    (33, 20, 4, 3, 3, 2, 1, 1, 1, 1),
    (8, 17, 6, 5, 4, 2, 1, 0, 1, 1),
    (16, 11, 2, 6, (1, 2), (1, 2), (0, 1), 0, (2, 1), 1),
    (16, 16, 5, 6, 2, 2, 1, 0, 1, 1),
    (5, 6, 4, 4, 5, 3, ((1, 0), (2, 1)), (2, 0), 1, 1),
    (12, 24, 5, 4, 3, 2, 1, 0, 3, 4),
    (20, 20, 4, 5, 3, 2, 1, 1, 1, 20),
    (64, 16, 3, 3, 3, 1, 1, 0, 1, 2),
    (32, 32, 9, 9, 3, 1, 1, 0, 1, 1),
]


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transposed_convolution(case: tuple, dtype: str, isa: str) -> None:
    """With normalisation and relu in it, before another convolution that wants zeros around."""
    c, o, h, w, kernel, *settings = case
    rng = np.random.default_rng(0)
    layer = minidl.ConvTranspose2D(c, o, kernel, *settings, rng=1)
    behind = minidl.BatchNorm2D(o), minidl.Relu(), minidl.Conv2D(o, 3, 3, padding=1, rng=2)
    for model in (minidl.Model(layer, dtype=dtype), minidl.Model(layer, *behind, dtype=dtype)):
        scattered(model, rng)
        for n in (1, 3):
            check(model, rng.normal(0, 1, (n, c, h, w)).astype(dtype))
        assert "by itself" not in model.compile_info()
    alone = minidl.Model(layer, dtype=dtype)
    layer.weight.data[...] = rng.integers(-2, 3, layer.weight.data.shape)
    layer.bias.data[...] = rng.integers(-2, 3, o)
    direct = layer.kernel_size != (3, 3) or layer.stride != (1, 1)
    check(alone, rng.integers(-2, 3, (2, c, h, w)).astype(dtype), exact=direct)


def test_a_transposed_convolution_that_leaves_pixels_out_runs_as_a_layer() -> None:
    model = minidl.Model(minidl.Conv2D(3, 8, 3, rng=0), minidl.ConvTranspose2D(8, 4, 2, stride=3, rng=1))
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 6, 6)).astype(np.float32)
    check(model, x)
    assert "by itself" in model.compile_info()


@pytest.mark.parametrize("n", [1, 2, 3, 5, 16, 37])
def test_images_of_a_batch_are_those_alone(n: int) -> None:
    """However they are dealt to threads, and how many go at once."""
    body = minidl.Conv2D(8, 8, 3, padding=1, rng=1), minidl.BatchNorm2D(8), minidl.Relu()
    layers = minidl.Conv2D(3, 8, 3, padding=1, rng=0), minidl.Residual(minidl.Sequential(*body)), minidl.MaxPool2D(2)
    model = scattered(
        minidl.Model(*layers, minidl.Flatten(), minidl.Linear(8 * 36, 5, rng=2)), np.random.default_rng(1)
    )
    x = np.random.default_rng(2).normal(0, 1, (n, 3, 12, 12)).astype(np.float32)
    alone = np.concatenate([model.predict(image[None]) for image in x])
    before = minidl.get_num_threads()
    try:
        for threads in (1, 2, 3, 4):
            minidl.set_num_threads(threads)
            np.testing.assert_array_equal(compiled_only(model, x), alone)
    finally:
        minidl.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_without_winograd_all_sums_are_direct(dtype: str, isa: str) -> None:
    """Whole numbers stay whole, and a NaN in its windows; the same bits with images in lanes."""
    rng = np.random.default_rng(3)
    layer = minidl.Conv2D(32, 32, 3, padding=1, rng=1)
    layer.weight.data[...] = rng.integers(-2, 3, layer.weight.data.shape)
    model = minidl.Model(layer, dtype=dtype)
    x = rng.integers(-2, 3, (2, 32, 12, 10)).astype(dtype)
    spoilt = x.copy()
    spoilt[1, 4, 5, 6] = np.nan
    assert "winograd" in (compiled_only(model, x), model.compile_info())[1]
    native.use_winograd(0)
    try:
        check(model, x, exact=True)
        windows = np.isnan(compiled_only(model, spoilt))
        window = (1, 1), (1, 1), (1, 1), 1
        y = native.leave(native.conv2d_forward(native.enter(x), layer.weight.data, layer.bias.data, *window))
        np.testing.assert_array_equal(compiled_only(model, x), y)
    finally:
        native.use_winograd(4)
    assert windows[1, :, 4:7, 5:8].all()
    assert windows.sum() == 32 * 9


def test_bias_may_be_absent() -> None:
    rng = np.random.default_rng(0)
    check(minidl.Model(minidl.Conv2D(5, 7, 3, bias=False, rng=1)), rng.normal(0, 1, (2, 5, 6, 6)).astype(np.float32))


LAYERS: list[tuple[Layer, tuple[int, int, int]]] = [
    (minidl.MaxPool2D(2), (9, 8, 6)),
    (minidl.MaxPool2D(3, 2, 1), (9, 9, 7)),
    (minidl.MaxPool2D(3, 2, 0, ceil_mode=True), (17, 8, 8)),
    (minidl.MaxPool2D(2, 1, 0, 2), (17, 8, 8)),
    (minidl.AvgPool2D(2), (9, 8, 6)),
    (minidl.AvgPool2D(3, 2, 1), (9, 9, 7)),
    (minidl.AvgPool2D(3, 2, 1, count_include_pad=False), (9, 9, 7)),
    (minidl.AvgPool2D(3, 2, 1, ceil_mode=True), (9, 8, 8)),
    (minidl.AdaptiveAvgPool2D((3, 2)), (18, 8, 7)),
    (minidl.GlobalAvgPool2D(), (18, 5, 7)),
    (minidl.GlobalMaxPool2D(), (18, 5, 7)),
    (minidl.BatchNorm2D(11), (11, 5, 7)),
    (minidl.Affine(11), (11, 5, 7)),
    (minidl.Affine(11, scale=False), (11, 5, 7)),
    (minidl.ChannelShuffle(3), (18, 5, 4)),
    *[
        (layer, (9, 4, 5))
        for layer in (
            minidl.Relu(),
            minidl.Relu6(),
            minidl.Sigmoid(),
            minidl.Tanh(),
            minidl.LeakyRelu(0.1),
            minidl.Elu(0.7),
            minidl.Selu(),
            minidl.Silu(),
            minidl.Mish(),
            minidl.HardSigmoid(),
            minidl.HardSwish(),
            minidl.Softplus(),
            minidl.Gelu(),
            minidl.Gelu("tanh"),
            minidl.Clip(-0.3, 0.4),
            minidl.Elementwise("exp"),
            minidl.Elementwise("abs"),
        )
    ],
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("before", [1, 2])
def test_layer_behind_a_convolution(layer: Layer, shape: tuple[int, int, int], before: int, isa: str) -> None:
    """Alone, where another reader keeps it from being merged, and merged. A second convolution asks for a halo."""
    rng = np.random.default_rng(2)
    c, h, w = shape
    x = minidl.Input((4, h, w))
    a = minidl.Conv2D(4, c, 3, padding=1, rng=1)(x)
    b = minidl.clone(layer)(a) if hasattr(minidl, "clone") else layer(a)
    outputs = b if before == 1 else [b, a]
    if len(b.shape) == 3:
        d = minidl.Conv2D(b.shape[0], 5, 3, padding=1, rng=3)(b)
        outputs = d if before == 1 else [d, a]
    model = scattered(minidl.Model(minidl.Graph(x, outputs)), rng)
    images = rng.normal(0, 1, (3, 4, h, w)).astype(np.float32)
    found = model.predict(images)
    assert any(made is not None for made in model._plan().compiled.values())
    with kernels.use("reference"):
        wanted = model.predict(images)
    for y, reference in zip(found if before == 2 else [found], wanted if before == 2 else [wanted]):
        np.testing.assert_allclose(y, reference, rtol=0, atol=5e-6 * np.abs(reference).max())


@pytest.mark.parametrize("operator", [minidl.Add, minidl.Sub, minidl.Mul, minidl.Div])
@pytest.mark.parametrize("gate", [False, True])
def test_arithmetic(operator: type[Layer], gate: bool, isa: str) -> None:
    rng = np.random.default_rng(3)
    x = minidl.Input((3, 6, 5))
    a = minidl.Conv2D(3, 10, 3, padding=1, rng=1)(x)
    b = minidl.Sigmoid()(minidl.Conv2D(3, 10, 3, padding=1, rng=2)(x))
    if gate:
        b = minidl.AdaptiveAvgPool2D(1)(b)
    y = minidl.Relu()(operator()(a, b))
    model = scattered(minidl.Model(minidl.Graph(x, minidl.Conv2D(10, 4, 3, padding=1, rng=3)(y))), rng)
    check(model, rng.normal(0, 1, (2, 3, 6, 5)).astype(np.float32))


@pytest.mark.parametrize("sizes", [(8, 16), (5, 7, 9), (16, 3), (1, 1)])
def test_concat_and_split(sizes: tuple[int, ...], isa: str) -> None:
    rng = np.random.default_rng(4)
    x = minidl.Input((3, 6, 5))
    parts = [minidl.Conv2D(3, size, 3, padding=1, rng=size)(x) for size in sizes]
    whole = minidl.Concat()(*parts)
    back = minidl.Split(tuple(reversed(sizes)))(whole)
    last = minidl.Conv2D(sizes[-1], 4, 3, padding=1, rng=3)(back[0])
    model = scattered(minidl.Model(minidl.Graph(x, [whole, last, *back[1:]])), rng)
    images = rng.normal(0, 1, (2, 3, 6, 5)).astype(np.float32)
    found = model.predict(images)
    assert any(made is not None for made in model._plan().compiled.values())
    with kernels.use("reference"):
        wanted = model.predict(images)
    for y, reference in zip(found, wanted, strict=True):
        np.testing.assert_allclose(y, reference, rtol=0, atol=5e-6 * np.abs(reference).max())


def residual(c: int, o: int, stride: int) -> Layer:
    body = minidl.Sequential(
        minidl.Conv2D(c, o, 3, stride, 1, bias=False, rng=1),
        minidl.BatchNorm2D(o),
        minidl.Relu(),
        minidl.Conv2D(o, o, 3, 1, 1, rng=2),
        minidl.BatchNorm2D(o),
    )
    shortcut = minidl.Sequential(minidl.Conv2D(c, o, 1, stride, rng=3), minidl.BatchNorm2D(o))
    return minidl.Residual(body, shortcut if c != o or stride != 1 else None)


def network(dtype: str = "float32", size: int = 12) -> minidl.Model:
    layers = [
        minidl.Conv2D(3, 12, 3, padding=1, rng=4),
        minidl.BatchNorm2D(12),
        minidl.Relu(),
        residual(12, 12, 1),
        minidl.Relu(),
        residual(12, 20, 2),
        minidl.Relu(),
        minidl.MaxPool2D(2),
        minidl.Flatten(),
        minidl.Linear(20 * (size // 4) ** 2, 30, rng=5),
        minidl.Relu(),
        minidl.Dropout(0.5),
        minidl.Linear(30, 10, rng=6),
    ]
    return scattered(minidl.Model(*layers, dtype=dtype, mean=[0.4, 0.5, 0.6], std=0.25), np.random.default_rng(5))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 5, 17, 40])
def test_network(dtype: str, n: int, isa: str) -> None:
    rng = np.random.default_rng(n)
    model = network(dtype)
    check(model, rng.normal(0, 1, (n, 3, 12, 12)).astype(dtype))
    check(model, rng.integers(0, 256, (n, 3, 12, 12)).astype(np.uint8))


def test_network_of_the_house() -> None:
    from minidl import networks

    rng = np.random.default_rng(6)
    for name, size in (("resnet18", 32), ("mobilenet_v3_small", 48), ("shufflenet_v2", 48), ("googlenet", 64)):
        model = scattered(getattr(networks, name)(), rng)
        x = rng.normal(0, 1, (1, 3, size, size)).astype(np.float32)
        y = compiled_only(model, x)
        choice.use_layout("images")
        reference = model.predict(x)
        choice.use_layout("channels")
        np.testing.assert_allclose(y, reference, rtol=0, atol=2e-5 * np.abs(reference).max())


def test_threads_do_not_change_a_bit() -> None:
    model = network()
    x = np.random.default_rng(7).normal(0, 1, (3, 3, 12, 12)).astype(np.float32)
    before = native.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 8):
            native.set_num_threads(threads)
            found.append(model.predict(x))
    finally:
        native.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize(("channels", "kernel", "size"), [(64, 3, 16), (128, 3, 9), (48, 5, 12), (256, 3, 14)])
def test_threads_share_transformed_tiles(channels: int, kernel: int, size: int) -> None:
    """Few tiles for many outputs: each task takes some of these."""
    rng = np.random.default_rng(9)
    model = minidl.Model(minidl.Conv2D(channels, channels, kernel, padding=kernel // 2, rng=1))
    x = rng.normal(0, 1, (3, channels, size, size)).astype(np.float32)
    before = native.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 8):
            native.set_num_threads(threads)
            found += [compiled_only(model, x)[:1], compiled_only(model, x[:1])]
    finally:
        native.set_num_threads(before)
    assert "winograd" in model.compile_info()
    check(model, x)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_a_batch_is_its_images() -> None:
    """Slices, and images beside each other, change no bit."""
    model = network()
    x = np.random.default_rng(8).normal(0, 1, (19, 3, 12, 12)).astype(np.float32)
    whole = model.predict(x)
    np.testing.assert_array_equal(whole, np.concatenate([model.predict(image[None]) for image in x]))


def test_nan_stays_in_its_image_and_channels() -> None:
    """A NaN, or an infinity, never reaches other images, or outputs that do not read it."""
    x = np.random.default_rng(9).normal(0, 1, (3, 3, 12, 12)).astype(np.float32)
    model = network()
    clean = model.predict(x)
    x[1, 0, 0, 0] = np.nan
    y = model.predict(x)
    assert np.isnan(y[1]).all()
    np.testing.assert_array_equal(y[[0, 2]], clean[[0, 2]])


@pytest.mark.parametrize("layout", ["F", "strided", "memory-mapped", "float64", "unaligned"])
def test_inputs_of_all_kinds(layout: str, tmp_path: object) -> None:
    model = network()
    x = np.random.default_rng(10).normal(0, 1, (4, 3, 12, 12)).astype(np.float32)
    wanted = model.predict(x)
    if layout == "F":
        x = np.asfortranarray(x)
    elif layout == "strided":
        x = np.repeat(x, 2, axis=3)[..., ::2]
    elif layout == "memory-mapped":
        np.save(f"{tmp_path}/x.npy", x)
        x = np.load(f"{tmp_path}/x.npy", mmap_mode="r")
    elif layout == "float64":
        x = x.astype(np.float64)
    else:
        raw = np.zeros(x.nbytes + 1, np.uint8)
        raw[1:] = x.reshape(-1).view(np.uint8)
        x = raw[1:].view(np.float32).reshape(x.shape)
    np.testing.assert_array_equal(model.predict(x), wanted)


def test_random_networks(isa: str) -> None:
    """Chains of chance: every operation between every other."""
    rng = np.random.default_rng(11)
    for trial in range(12):
        c, h, w = int(rng.integers(1, 12)), int(rng.integers(4, 12)), int(rng.integers(4, 12))
        shape = c, h, w
        layers: list[Layer] = []
        for _ in range(int(rng.integers(2, 8))):
            o = int(rng.integers(1, 40))
            kind = int(rng.integers(0, 6))
            if kind < 3 or not layers:
                groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
                o = o // groups * groups or groups
                k = int(rng.integers(1, 1 + min(3, *shape[1:])))
                layers.append(minidl.Conv2D(c, o, k, int(rng.integers(1, 3)), k // 2, groups=groups, rng=trial))
            elif kind == 3:
                layers.append(minidl.BatchNorm2D(c))
            elif kind == 4:
                layers.append(rng.choice([minidl.Relu(), minidl.Silu(), minidl.LeakyRelu(0.2)]))
            else:
                layers.append(minidl.MaxPool2D(2, 1) if min(shape[1:]) > 1 else minidl.Tanh())
            shape = layers[-1].output_shape(shape)
            c = shape[0]
        model = scattered(minidl.Model(*layers), rng)
        n, channels = int(rng.integers(1, 4)), model.layers[0].weight.data.shape[1] * model.layers[0].groups
        check(model, rng.normal(0, 1, (n, channels, h, w)).astype(np.float32))


def test_every_pair_of_stride_and_size() -> None:
    rng = np.random.default_rng(12)
    for size, stride, kernel in itertools.product(range(1, 16), (1, 2, 3), (1, 2, 3)):
        if kernel > size + 2 * (kernel // 2):
            continue
        model = minidl.Model(minidl.Conv2D(8, 16, kernel, stride, kernel // 2, rng=1))
        x = rng.integers(-3, 4, (1, 8, size, size)).astype(np.float32)
        model.layers[0].weight.data[...] = rng.integers(-3, 4, model.layers[0].weight.data.shape)
        check(model, x, exact=(kernel, stride) != (3, 1))
