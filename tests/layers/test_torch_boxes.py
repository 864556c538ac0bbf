"""PyTorch as an outside witness, where it is installed: images cut, padded, rearranged, resized. Beside it ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl.layers import ChannelShuffle, Layer, Pad2D, PixelShuffle, PixelUnshuffle, Slice, Transpose, Upsample

SHAPES = ((2, 4, 6, 8), (17, 4, 4, 2), (1, 8, 2, 10))


def witnesses(torch: Any) -> dict[str, tuple[Layer, Callable[[Any], Any]]]:
    f = torch.nn.functional

    def interpolate(**settings: Any) -> Callable[[Any], Any]:
        return lambda x: f.interpolate(x, **settings)

    return {
        "slice": (Slice((1, None), (None, -1), (1, 2), (1, 3)), lambda x: x[:, 1:, :, :-1:2]),
        "zeros": (Pad2D((1, 2, 3, 0)), lambda x: f.pad(x, (2, 0, 1, 3))),
        "constant": (Pad2D((1, -1, 0, 3), value=-2.5), lambda x: f.pad(x, (-1, 3, 1, 0), value=-2.5)),
        "reflect": (Pad2D((1, 1, 1, 0), "reflect"), lambda x: f.pad(x, (1, 0, 1, 1), mode="reflect")),
        "edge": (Pad2D((3, 1, 0, 5), "edge"), lambda x: f.pad(x, (1, 5, 3, 0), mode="replicate")),
        "wrap": (Pad2D((2, 1), "wrap"), lambda x: f.pad(x, (1, 1, 2, 2), mode="circular")),
        "transpose": (Transpose((0, 3, 1, 2)), lambda x: x.permute(0, 3, 1, 2)),
        "pixel_shuffle": (PixelShuffle(2), lambda x: f.pixel_shuffle(x, 2)),
        "pixel_unshuffle": (PixelUnshuffle(2), lambda x: f.pixel_unshuffle(x, 2)),
        "channel_shuffle": (ChannelShuffle(2), torch.nn.ChannelShuffle(2)),
        "nearest": (Upsample(2), interpolate(scale_factor=2)),
        "nearest_scale": (Upsample((1.5, 2.5)), interpolate(scale_factor=(1.5, 2.5))),
        "nearest_size": (Upsample(size=(7, 5)), interpolate(size=(7, 5))),
        "nearest_exact": (
            Upsample(size=(7, 5), coordinates="half_pixel", rounding="round_prefer_ceil"),
            interpolate(size=(7, 5), mode="nearest-exact"),
        ),
        "bilinear": (Upsample(2, mode="bilinear"), interpolate(scale_factor=2, mode="bilinear")),
        "bilinear_scale": (
            Upsample((1.7, 0.6), mode="bilinear"),
            interpolate(scale_factor=(1.7, 0.6), mode="bilinear"),
        ),
        "bilinear_size": (Upsample(size=(3, 11), mode="bilinear"), interpolate(size=(3, 11), mode="bilinear")),
        "bilinear_corners": (
            Upsample(size=(9, 1), mode="bilinear", coordinates="align_corners"),
            interpolate(size=(9, 1), mode="bilinear", align_corners=True),
        ),
        "bicubic": (Upsample((1.7, 0.6), mode="bicubic"), interpolate(scale_factor=(1.7, 0.6), mode="bicubic")),
        "bicubic_corners": (
            Upsample(size=(9, 3), mode="bicubic", coordinates="align_corners"),
            interpolate(size=(9, 3), mode="bicubic", align_corners=True),
        ),
        "antialias": (
            Upsample(size=(2, 9), mode="bilinear", antialias=True, exclude_outside=True),
            interpolate(size=(2, 9), mode="bilinear", antialias=True),
        ),
        "bicubic_antialias": (
            Upsample(size=(2, 3), mode="bicubic", antialias=True, cubic=-0.5, exclude_outside=True),
            interpolate(size=(2, 3), mode="bicubic", antialias=True),
        ),
    }


NAMES = (
    *("slice", "zeros", "constant", "reflect", "edge", "wrap", "transpose", "pixel_shuffle", "pixel_unshuffle"),
    *("channel_shuffle", "nearest", "nearest_scale", "nearest_size", "nearest_exact", "bilinear", "bilinear_scale"),
    *("bilinear_size", "bilinear_corners", "bicubic", "bicubic_corners", "antialias", "bicubic_antialias"),
)


@pytest.mark.witness
@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients(name: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    layer, witness = witnesses(torch)[name]
    exact = not name.startswith(("bilinear", "bicubic", "antialias"))
    for shape in SHAPES:
        x = rng.integers(-9, 10, shape).astype(np.float64)
        image = torch.tensor(x, requires_grad=True)
        expected = witness(image)
        dy = rng.integers(-9, 10, tuple(expected.shape)).astype(np.float64)
        expected.backward(torch.tensor(dy))
        tolerance = {"rtol": 0 if exact else 1e-12, "atol": 0 if exact else 1e-12}
        np.testing.assert_allclose(layer.forward(x, train=True), expected.detach().numpy(), **tolerance)
        np.testing.assert_allclose(layer.backward(dy), image.grad.numpy(), **tolerance)


@pytest.mark.witness
def test_every_witness_is_called() -> None:
    assert set(NAMES) == witnesses(pytest.importorskip("torch")).keys()


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"])
def test_onnx_resize(mode: str, coordinates: str, rng: np.random.Generator) -> None:
    """The ONNX project's own evaluation of its operator, in all coordinates and roundings."""
    onnx = pytest.importorskip("onnx")
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    x = rng.integers(-9, 10, (2, 3, 5, 8)).astype(np.float64)
    for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")[: 4 if mode == "nearest" else 1]:
        for scale, size in ((2, None), ((1.5, 0.5), None), (None, (1, 16)), (None, (7, 3))):
            if scale is not None and coordinates == "align_corners":
                continue  # its corners are those of scale * size before it is rounded; PyTorch and ONNX Runtime: after
            layer = Upsample(scale, size, mode, coordinates, rounding)
            expected = onnx_resize(onnx, evaluator, x, layer, coordinates)
            np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-6, atol=1e-6, err_msg=f"{layer}")


def onnx_resize(onnx: Any, evaluator: Any, x: np.ndarray, layer: Upsample, coordinates: str) -> np.ndarray:
    by_scale = layer.scale is not None
    node = onnx.helper.make_node(
        "Resize",
        ["x", "", "scales"] if by_scale else ["x", "", "", "sizes"],
        ["y"],
        mode="linear" if layer.mode == "bilinear" else "nearest",
        nearest_mode=layer.rounding,
        coordinate_transformation_mode=coordinates,
    )
    given = onnx.helper.make_tensor_value_info(
        "scales" if by_scale else "sizes", onnx.TensorProto.FLOAT if by_scale else onnx.TensorProto.INT64, [4]
    )
    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, [None] * 4) for name in "xy"]
    graph = onnx.helper.make_graph([node], "resize", [info[0], given], [info[1]])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)])
    pair = layer.scale if isinstance(layer.scale, tuple) else (layer.scale, layer.scale)
    value = np.array([1, 1, *pair], np.float32) if by_scale else np.array([*x.shape[:2], *layer.size], np.int64)
    return evaluator(model).run(None, {"x": x, given.name: value})[0]
