"""What predict takes for images: one image in any layout, lists, and doubtful ranges of values."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest

import minidl

pytestmark = pytest.mark.usefixtures("plain_backend")


def network(channels: int = 3, **arguments: Any) -> minidl.Model:
    return minidl.Model(
        minidl.Conv2D(channels, 2, 3, rng=1), minidl.GlobalAvgPool2D(), minidl.Linear(2, 4, rng=2), **arguments
    )


class TestOneImage:
    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    @pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_classes", "__call__"])
    def test_colour(self, rng: np.random.Generator, dtype: Any, method: str) -> None:
        model, image = network(), rng.integers(0, 2, (3, 6, 7)).astype(dtype)
        ask = getattr(model, method)
        expected = ask(image[None])[0]
        assert np.shape(expected) == (() if method == "predict_classes" else (4,))
        np.testing.assert_array_equal(ask(image), expected)
        np.testing.assert_array_equal(ask(np.moveaxis(image, 0, 2)), expected)
        np.testing.assert_array_equal(ask(np.moveaxis(image, 0, 2).copy()), expected)

    def test_grey(self, rng: np.random.Generator) -> None:
        model, image = network(1), rng.random((6, 7), np.float32)
        expected = model.predict(image[None, None])[0]
        for given in (image, image[None], image[:, :, None]):
            np.testing.assert_array_equal(model.predict(given), expected)

    def test_rows_go_before_an_image(self, rng: np.random.Generator) -> None:
        model = minidl.Model(minidl.Flatten(), minidl.Linear(6, 2, rng=1))
        assert model.predict(rng.random((3, 6), np.float32)).shape == (3, 2)
        image = rng.random((2, 3), np.float32)
        np.testing.assert_array_equal(model.predict(image), model.predict(image[None, None])[0])

    def test_the_usual_numbers_of_channels_decide_where_both_layouts_fit(self, rng: np.random.Generator) -> None:
        model = minidl.Model(minidl.Flatten(), minidl.Linear(60, 2, rng=1))
        image = rng.random((3, 4, 5), np.float32)
        expected = model.predict(image[None])[0]
        np.testing.assert_array_equal(model.predict(image), expected)
        np.testing.assert_array_equal(model.predict(image.transpose(1, 2, 0)), expected)
        with pytest.raises(
            ValueError, match=r"\(2, 5, 6\) may be .* give x\[None\], or x\.transpose\(2, 0, 1\)\[None\]"
        ):
            model.predict(np.ones((2, 5, 6), np.float32))

    def test_what_fits_no_layout_is_refused_with_a_hint(self) -> None:
        with pytest.raises(ValueError, match=r"one image \(C, H, W\), .* got \(5, 6, 7\)$"):
            network().predict(np.ones((5, 6, 7), np.float32))
        with pytest.raises(ValueError, match=r"got \(5, 6, 7\); images without channels: x\[:, None\]"):
            network(1).predict(np.ones((5, 6, 7), np.float32))
        with pytest.raises(ValueError, match=r"images \(N, H, W, C\): x\.transpose\(0, 3, 1, 2\)"):
            network().predict(np.ones((2, 6, 7, 3), np.float32))

    def test_after_batches_one_image_is_still_one(self, rng: np.random.Generator) -> None:
        model, x = network(1), rng.random((5, 1, 6, 7), np.float32)
        scores = model.predict(x)
        np.testing.assert_allclose(model.predict(x[0]), scores[0], rtol=1e-6)
        np.testing.assert_allclose(model.predict(x[0, 0]), scores[0], rtol=1e-6)

    def test_the_layout_of_an_image_is_looked_for_once(self, rng: np.random.Generator) -> None:
        """And again after another shape, dtype, or another layer."""
        model, x = network(), rng.random((1, 3, 6, 7), np.float32)
        scores, asked = model.predict(x)[0], []
        real = model.output_shape
        model.output_shape = lambda shape: asked.append(shape) or real(shape)  # type: ignore[method-assign]
        for image in (x[0], np.ascontiguousarray(x[0].transpose(1, 2, 0))):
            for again in range(3):
                np.testing.assert_array_equal(model.predict(image), scores)
                assert len(asked) == (0 if again else 2)
                asked.clear()
        pixels = rng.integers(0, 256, (3, 6, 7)).astype(np.uint8)
        np.testing.assert_array_equal(model.predict(pixels), model.predict(pixels[None])[0])
        np.testing.assert_array_equal(model.predict(x[0]), scores)

    def test_another_layer_takes_another_layout(self, rng: np.random.Generator) -> None:
        inner = minidl.Sequential(minidl.Conv2D(3, 2, 3, rng=0))
        model = minidl.Model(inner, minidl.GlobalAvgPool2D())
        x = rng.random((3, 7, 5), np.float32)
        assert model.predict(x).shape == (2,)
        inner.layers[0] = minidl.Conv2D(5, 2, 3, rng=0)  # now it is (H, W, C)
        np.testing.assert_array_equal(model.predict(x), model.predict(x.transpose(2, 0, 1)[None])[0])
        model.layers[0] = minidl.Conv2D(3, 4, 3, rng=0)
        np.testing.assert_array_equal(model.predict(x), model.predict(x[None])[0])


class TestLists:
    def test_ragged_images_are_named_with_their_shapes(self) -> None:
        ragged = [np.ones((3, 6, 7)), np.ones((3, 6, 7)), np.ones((3, 5, 7))]
        rule = r"input must be .*a list of 3 arrays, \(3, 6, 7\) in row 0 and \(3, 5, 7\) in row 2; bring all images"
        objects = np.empty(3, object)
        objects[:] = ragged
        for given in (ragged, objects):
            for method in (network().predict, network().forward, network().activations):
                with pytest.raises((ValueError, TypeError), match=rule):
                    method(given)
        with pytest.raises(ValueError, match=r"got rows of different length, \(2,\) in row 0 and \(1,\) in row 1"):
            network().predict([[1.0, 2.0], [1.0]])

    def test_objects_of_one_shape_are_to_be_stacked(self) -> None:
        objects = np.empty(2, object)
        objects[:] = [np.ones((3, 6, 7)), np.zeros((3, 6, 7))]
        rule = r"entries of one shape as objects; join them by np\.stack\(x\)"
        with pytest.raises(TypeError, match=rule):
            network().predict(objects)
        trainer = minidl.Trainer(network(), minidl.SoftmaxCrossEntropyLoss(), minidl.SGD())
        with pytest.raises(ValueError, match=f"training x must have one shape for all entries, got {rule}"):
            trainer.fit((objects, [0, 1]))

    def test_lists_of_batches_are_to_be_joined(self) -> None:
        batches = [np.ones((4, 3, 6, 7)), np.ones((2, 3, 6, 7))]
        with pytest.raises(ValueError, match=r"\(2, 3, 6, 7\) in row 1; join the batches by np\.concatenate\(x\)"):
            network().predict(batches)
        with pytest.raises(ValueError, match=r"got \(2, 4, 3, 6, 7\); batches: np\.concatenate\(x\)"):
            network().predict([batches[0], batches[0]])


def warned(model: minidl.Model, x: np.ndarray) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model.predict(x)
    assert all(each.category is UserWarning and each.filename == __file__ for each in found)
    return [str(each.message) for each in found]


class TestRanges:
    def test_pixels_as_floats(self, rng: np.random.Generator) -> None:
        x = rng.integers(0, 256, (5, 3, 6, 7)).astype(np.float32)
        x[0, 0, 0, :2] = 0, 255
        model = network()
        assert warned(model, x.astype(np.uint8)) == []
        text = "Model: input: floats from 0 to 255 are taken as they are; if they are pixels: give uint8, which the"
        (message,) = warned(model, x)
        assert message == text + " model scales, or divide by 255"
        assert warned(model, x) == []
        assert warned(model, x[:, :, 1:] - x[:, :, 1:].min() + 1) == []  # another range
        assert warned(copy.deepcopy(model), x) == []

    def test_floats_from_0_to_1_where_the_model_has_mean_and_std(self, rng: np.random.Generator) -> None:
        x = rng.random((5, 3, 6, 7), np.float32)
        x[0, 0, 0, :2] = 0, 1
        (message,) = warned(network(mean=0.5, std=0.25), x)
        assert message == (
            "Model: input: floats from 0 to 1 are taken as they are, mean and std are for uint8:"
            " give (x - mean) / std, or pixels as uint8"
        )
        assert warned(network(mean=0.5, std=0.25), (x - 0.5) / 0.25) == []
        assert warned(network(mean=0.5, std=0.25), np.zeros_like(x)) == []
        assert warned(network(), x) == []

    @pytest.mark.parametrize("x", [np.full((1, 3, 6, 7), np.nan), np.ones((0, 3, 6, 7)), np.full((1, 3, 6, 7), 300.0)])
    def test_no_word_about_what_may_be_right(self, x: np.ndarray) -> None:
        assert warned(network(mean=0.5), x) == []

    def test_a_mean_on_the_scale_of_pixels(self) -> None:
        with pytest.warns(
            UserWarning, match=r"Model: mean \[123.7, 0.4, 0.4\] must be on the scale from 0 to 1"
        ) as found:
            network(mean=[123.7, 0.4, 0.4], std=0.2)
        assert found[0].filename == __file__

    def test_the_doubt_itself(self) -> None:
        assert network().range_doubt(np.array([[0.0, 33.0]])).startswith("floats from 0 to 33")
        assert network().range_doubt(np.array([[0.0, 32.0]])) == ""
        scaled = minidl.Model(minidl.Affine(2), minidl.Linear(2, 1))
        assert scaled.range_doubt(np.array([[0.0, 33.0]])) == ""
        assert network().range_doubt(np.array([[0, 255]], np.uint8)) == ""

    def test_training_warns_once_and_evaluation_too(self, rng: np.random.Generator) -> None:
        x, y = rng.integers(0, 256, (6, 3, 6, 7)).astype(np.float32), np.arange(6) % 4
        for method in ("fit", "evaluate"):
            model = network()
            trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(1e-9))
            with pytest.warns(UserWarning, match=r"(training|evaluation) x: floats from .* give uint8"):
                getattr(trainer, method)((x, y))
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                trainer.fit((x, y), (x, y), epochs=2, verbose=False)
                model.predict(x)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trainer = minidl.Trainer(network(), minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(1e-9))
            trainer.fit((x.astype(np.uint8), y), (x / 255, y), verbose=False)
