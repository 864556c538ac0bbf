"""Maps of another size: nearest pixels as ONNX Runtime takes them, whose positions are float32."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
from graphs_of_onnx import agrees, expected, file, operator
from onnx_run import images, run

COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


def resized(size, scales=None, out=None, opset=17, **settings):
    """A file of one Resize by scales of float32, or to a size."""
    if scales is None:
        node = operator("Resize", ["x", "", "", "s"], ["y"], **settings)
        return file([node], {"s": np.array([1, 1, *out], np.int64)}, (1, 1, *size), opset=opset)
    inputs = ["x", "", "s"] if opset > 10 else ["x", "s"]
    return file([operator("Resize", inputs, ["y"], **settings)], {"s": np.array([1, 1, *scales], np.float32)},
                ("N", 1, *size), opset=opset)  # fmt: skip


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_quotients_that_float32_misses(coordinates, rounding):
    """14 to 78: place 39 lies at 7, or a little before it; 25 to 72: place 36 at 12.5, or 1e-6 before."""
    settings = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding, "mode": "nearest"}
    for size, out in ((14, 78), (14, 2), (18, 78), (25, 72), (29, 60), (14, 83), (30, 35), (21, 24), (9, 9)):
        x = np.arange(size, dtype=np.float32).reshape(1, 1, 1, size)
        for content in (
            resized((1, size), scales=(1, np.float32(out) / np.float32(size)), **settings),
            resized((1, size), out=(1, out), **settings),
        ):
            np.testing.assert_array_equal(minidl.onnx.load(content).predict(x), expected(content, x)[0])


def test_sizes_without_end_take_no_time():
    (found,) = minidl.onnx.check(resized((6, 5), out=(2**62, 2), mode="nearest"))
    assert "size must be below" in found.rule
    assert minidl.onnx.check(resized((6, 5), out=(2**30, 2), mode="nearest")) == []


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(1.1, 1.1), (1.1, 1.5), (1.0, 1.1), (1.05, 1.0), (0.99, 0.6)])
def test_scales_that_leave_the_size(mode, scales):
    for coordinates in COORDINATES:
        agrees(resized((6, 5), scales, mode=mode, coordinate_transformation_mode=coordinates), images(2, 1, 6, 5))


@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_means_of_more_pixels(mode, antialias):
    for exclude in (0, 1) if antialias or mode == "cubic" else (0,):
        settings = {"mode": mode, "antialias": antialias, "exclude_outside": exclude, "cubic_coeff_a": -0.5}
        for scales in ((0.6, 1.5), (2, 0.25), (0.4, 0.3)):
            agrees(resized((10, 9), scales, opset=18, **settings), images(2, 1, 10, 9))


def test_symmetric_positions():
    for mode in ("linear", "nearest"):
        settings = {"mode": mode, "coordinate_transformation_mode": "half_pixel_symmetric"}
        agrees(resized((10, 9), (0.63, 1.57), opset=19, **settings), images(2, 1, 10, 9))


def test_shapes_that_stay_alike():
    for policy in ("not_larger", "not_smaller"):
        node = operator("Resize", ["x", "", "", "s"], ["y"], keep_aspect_ratio_policy=policy, axes=[2, 3])
        content = file([node], {"s": np.array([8, 27], np.int64)}, ("N", 1, 4, 9), opset=18)
        agrees(content, images(2, 1, 4, 9))


@pytest.mark.parametrize("how", [{"scale": 1.5}, {"size": (5, 7)}, {"size": (4, 3), "antialias": True}], ids=str)
def test_cubic_means_come_back(how, tmp_path):
    x = images(2, 2, 10, 8)
    model = minidl.Model(minidl.Upsample(**how, mode="bicubic", cubic=-0.6, exclude_outside=True))
    minidl.onnx.save(model, tmp_path / "m.onnx", (2, 10, 8))
    np.testing.assert_allclose(minidl.onnx.load(tmp_path / "m.onnx").predict(x), model.predict(x), rtol=0, atol=1e-5)
    np.testing.assert_allclose(run(tmp_path / "m.onnx", x)[0], model.predict(x), rtol=0, atol=1e-5)


def test_smaller_images_before_version_11_have_the_next_pixel():
    for scales in ((0.7, 0.6), (0.7, 1.5), (2, 0.6), (1.5, 2)):
        agrees(resized((10, 7), scales, opset=10, mode="nearest"), images(2, 1, 10, 7))


@pytest.mark.parametrize("how", [{"size": (5, 7)}, {"size": (17, 3)}, {"scale": 0.7}, {"scale": (1.1, 0.4)}], ids=str)
def test_nearest_pixels_come_back(how, tmp_path):
    """Written as Gather where a program's scale could be another; Upsample again, where a size says the places."""
    x = images(2, 2, 10, 9)
    for coordinates in COORDINATES:
        for rounding in ROUNDINGS:
            model = minidl.Model(minidl.Upsample(**how, coordinates=coordinates, rounding=rounding))
            minidl.onnx.save(model, tmp_path / "m.onnx", (2, 10, 9))
            back = minidl.onnx.load(tmp_path / "m.onnx")
            np.testing.assert_array_equal(back.predict(x), model.predict(x))
            if "size" in how:
                assert {type(layer) for layer in back.plan()} <= {minidl.Upsample, minidl.Slice}
