"""Concat and Split: values by numpy, gradients, in graphs, saved, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.layers import Concat, Conv2D, Flatten, Graph, Input, Linear, Relu, Split

X = np.arange(2 * 6 * 3 * 4, dtype=np.float64).reshape(2, 6, 3, 4)


@pytest.mark.usefixtures("any_backend")
class TestValues:
    @pytest.mark.parametrize("axis", [1, 2, 3])
    @pytest.mark.parametrize("n", [0, 1, 2, 17])
    def test_concat(self, axis: int, n: int, rng: np.random.Generator) -> None:
        sizes = (3, 1, 2)
        xs = [rng.standard_normal((n, *(k if a == axis else 4 for a in (1, 2, 3)))) for k in sizes]
        layer = Concat(axis)
        y = layer.forward(xs)  # type: ignore[arg-type]
        expected = np.concatenate(xs, axis)
        np.testing.assert_array_equal(y, expected)
        dy = rng.standard_normal(y.shape)
        for dx, part in zip(layer.backward(dy), np.split(dy, np.cumsum(sizes)[:-1], axis), strict=True):
            np.testing.assert_array_equal(dx, part)

    @pytest.mark.parametrize(("sections", "axis"), [(2, 1), ((1, 2, 3), 1), (3, 2), ((3, 1), 3), (6, 1)])
    @pytest.mark.parametrize("n", [0, 1, 2, 17])
    def test_split(self, sections: Any, axis: int, n: int, rng: np.random.Generator) -> None:
        x = rng.standard_normal((n, 6, 3, 4))
        layer = Split(sections, axis)
        expected = np.split(x, sections if isinstance(sections, int) else np.cumsum(sections)[:-1], axis)
        ys: Any = layer.forward(x)
        assert len(ys) == len(expected) == layer.outputs
        for y, part in zip(ys, expected, strict=True):
            np.testing.assert_array_equal(y, part)
        dys: Any = [rng.standard_normal(y.shape) for y in ys]
        np.testing.assert_array_equal(layer.backward(dys), np.concatenate(dys, axis))

    def test_rows_and_one_of_each(self) -> None:
        x = X.reshape(2, -1)
        np.testing.assert_array_equal(Concat().forward([x, x]), np.concatenate([x, x], 1))  # type: ignore[arg-type]
        np.testing.assert_array_equal(Concat().forward([x]), x)  # type: ignore[arg-type]
        np.testing.assert_array_equal(Split(1).forward(x), x)
        np.testing.assert_array_equal(Split((72,)).forward(x), x)

    def test_a_graph_of_both(self, rng: np.random.Generator) -> None:
        """A part that nobody reads has a gradient of zeros; one that goes two ways has the sum."""
        x = Input((6, 3, 4))
        a, b, _ = Split((1, 2, 3))(x)
        graph = Graph(x, Concat()(b, a, b)).astype("float64")
        y = graph.forward(X)
        np.testing.assert_array_equal(y, X[:, [1, 2, 0, 1, 2]])
        dy = rng.standard_normal(y.shape)
        dx = graph.backward(dy)
        np.testing.assert_allclose(dx[:, 0], dy[:, 2])
        np.testing.assert_allclose(dx[:, 1:3], dy[:, :2] + dy[:, 3:])
        np.testing.assert_array_equal(dx[:, 3:], np.zeros((2, 3, 3, 4)))

    def test_gradients_of_a_network(self, rng: np.random.Generator) -> None:
        assert minidl.gradcheck(network().astype("float64"), rng.standard_normal((3, 2, 4, 4)), samples=10)


def network() -> Graph:
    """Branches side by side, as in Inception and DenseNet."""
    x = Input((2, 4, 4))
    a = Relu()(Conv2D(2, 3, 3, padding=1, rng=0)(x))
    b = Relu()(Conv2D(2, 5, 1, rng=1)(x))
    left, right = Split((3, 5))(Concat()(a, b))
    return Graph(x, Linear(10 * 16, 3, rng=2)(Flatten()(Concat()(right, left, x))))


def test_it_trains_and_comes_back_from_its_file(tmp_path: Path, rng: np.random.Generator) -> None:
    model = minidl.Model(network())
    x, y = rng.standard_normal((40, 2, 4, 4)).astype(np.float32), rng.integers(0, 3, 40)
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1, momentum=0.9))
    history = trainer.fit((x, y), epochs=5, batch_size=10, seed=0)
    assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]
    model.save(tmp_path / "m")
    other = minidl.load_model(tmp_path / "m")
    assert repr(other) == repr(model)
    for n in (1, 3, 40):
        np.testing.assert_array_equal(other.predict(x[:n]), model.predict(x[:n]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Concat(0), "Concat: axis must be at least 1, got 0"),
        (lambda: Split(0), "Split: sections must be at least 1, got 0"),
        (lambda: Split(()), r"Split: sections must be a number of parts or their sizes, got \(\)"),
        (lambda: Split(4).output_shape((6, 3, 4)), "Split: sections must divide the input's 6 places on axis 1, got 4"),
        (lambda: Split((2, 3)).output_shape((6,)), "Split: sections must add up to the input's 6 places on axis 1"),
        (
            lambda: Concat()(Input((2, 3, 4)), Input((2, 3, 5))),
            r"Concat: images must have equal sizes on all axes but 1, got \(2, 3, 4\) and \(2, 3, 5\) \(node Concat",
        ),
        (lambda: Concat(3)(Input((5,)), Input((5,))), "Concat: axis must be at most 1, the last of 2 dimensions"),
    ],
)
def test_bad_arguments_and_inputs(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_there_are_at_most_a_thousand_parts() -> None:
    parts: Any = Split(1000).forward(np.arange(2000.0)[None])
    assert [part.tolist() for part in parts[998:]] == [[[1996.0, 1997.0]], [[1998.0, 1999.0]]]
    for sections in (1001, 2**31 - 1, (1,) * 1001):
        with pytest.raises(ValueError, match="Split: sections must make at most 1000 parts, got"):
            Split(sections)
