"""The product of two inputs' matrices, and the attention that is made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl import (
    Add,
    Arithmetic,
    Conv2D,
    Dropout,
    Flatten,
    Gelu,
    Graph,
    Input,
    LayerNorm,
    MatMul,
    Model,
    Reshape,
    Softmax,
    Tanh,
    Transpose,
)

TURN = (0, 1, 3, 2)


def graph(*shapes: Any) -> Graph:
    inputs = [Input(shape) for shape in shapes]
    return Graph(inputs, MatMul()(*inputs))


def attention(channels: int, heads: int, height: int, width: int) -> Graph:
    """Pixels look at each other, in heads, and what they found is added."""
    x, pixels = Input((channels, height, width)), height * width
    parts = (heads, channels // heads, pixels)
    query, key, value = (Reshape(parts)(Conv2D(channels, channels, 1, rng=i)(x)) for i in range(3))
    scores = MatMul()(Transpose(TURN)(key), query)
    shares = Softmax(2)(Arithmetic("/", parts[1] ** 0.5)(scores))
    mixed = Reshape((channels, height, width))(MatMul()(value, shares))
    return Graph(x, Add()(x, Conv2D(channels, channels, 1, rng=3)(mixed)))


def by_numpy(model: Model, x: np.ndarray, heads: int) -> np.ndarray:
    n, channels = x.shape[:2]
    w = [parameter.data for parameter in model.parameters()]
    rows = x.reshape(n, channels, -1)
    query, key, value = (
        (w[2 * i][:, :, 0, 0] @ rows + w[2 * i + 1][:, None]).reshape(n, heads, channels // heads, -1) for i in range(3)
    )
    e = np.exp(np.einsum("nhfk,nhfq->nhkq", key, query) / (channels // heads) ** 0.5)
    mixed = (value @ (e / e.sum(2, keepdims=True))).reshape(n, channels, -1)
    return x + (w[6][:, :, 0, 0] @ mixed + w[7][:, None]).reshape(x.shape)


@pytest.mark.usefixtures("any_backend")
class TestMatMul:
    def test_values_and_gradients(self, rng: np.random.Generator) -> None:
        for shapes in (((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (1, 4, 5)), ((1, 3, 4), (2, 4, 5))):
            net = graph(*shapes)
            a, b = (rng.integers(-4, 5, (5, *shape)).astype(np.float32) for shape in shapes)
            y = net.forward([a, b], train=True)
            np.testing.assert_array_equal(y, a @ b)
            dy = rng.integers(-4, 5, y.shape).astype(np.float32)
            da, db = net.backward(dy)
            for got, whole in ((da, dy @ b.swapaxes(-1, -2)), (db, a.swapaxes(-1, -2) @ dy)):
                one = got.ndim == 4 and got.shape[1] == 1 != whole.shape[1]
                np.testing.assert_array_equal(got, whole.sum(1, keepdims=True) if one else whole)

    def test_the_same_on_both_sides(self, rng: np.random.Generator) -> None:
        x = Input((2, 4, 4))
        model = Model(Graph(x, MatMul()(x, x)), dtype="float64")
        values = rng.standard_normal((3, 2, 4, 4))
        np.testing.assert_allclose(model.forward(values), values @ values, rtol=1e-12)
        assert minidl.gradcheck(model, values)

    def test_attention(self, rng: np.random.Generator) -> None:
        model = Model(attention(4, 2, 3, 2), dtype="float64")
        assert minidl.gradcheck(model, rng.standard_normal((3, 4, 3, 2)), samples=12)
        x = rng.standard_normal((17, 4, 3, 2))
        expected = by_numpy(model, x, 2)
        np.testing.assert_allclose(model.forward(x), expected, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(model.predict(x[:1]), expected[:1], rtol=1e-11, atol=1e-13)  # with few images, too


@pytest.mark.usefixtures("any_backend")
def test_a_block_of_a_transformer(rng: np.random.Generator) -> None:
    """Rows of vectors (N, I, D) go through all that such a block has.

    Of 5 values, not of 2: normalised, two are always near 1 and -1, and steep where they are nearly equal.
    """
    x = Input((5, 3, 2))
    tokens = Transpose((0, 2, 1))(Reshape((5, 6))(x))  # pixels as rows
    rows = LayerNorm(5)(tokens)
    mixed = MatMul()(Softmax(-1)(MatMul()(rows, Transpose((0, 2, 1))(rows))), rows)
    y = Add()(tokens, Dropout(0.0)(mixed))
    y = Add()(y, Tanh()(Gelu()(y)))
    model = Model(Graph(x, Flatten()(y)), dtype="float64")
    assert minidl.gradcheck(model, rng.standard_normal((3, 5, 3, 2)))


@pytest.mark.usefixtures("backend")
def test_attention_learns(rng: np.random.Generator) -> None:
    """What stands at the pixel with the largest number of channel 0, at all pixels."""
    x = rng.standard_normal((64, 4, 3, 3)).astype(np.float32)
    x[:, 0] *= 3
    rows = x.reshape(64, 4, 9)
    target = x + np.take_along_axis(rows, rows[:, :1].argmax(2, keepdims=True), 2)[..., None]
    model = Model(attention(4, 1, 3, 3))
    trainer = minidl.Trainer(model, minidl.MSELoss(), minidl.Adam(0.01))
    losses = trainer.fit((x, target), epochs=20, batch_size=16, seed=0, verbose=False)["train_loss"]
    assert losses[-1] < 0.3 * losses[0]


def test_multiply_adds() -> None:
    assert MatMul().multiply_adds(((2, 3, 4), (2, 4, 5))) == 2 * 3 * 4 * 5
    assert MatMul().multiply_adds(((3, 4), (4, 5))) == 60
    assert MatMul().multiply_adds(((1, 3, 4), (6, 4, 5))) == 6 * 60
    assert Model(graph((3, 4), (4, 5))).multiply_adds(((3, 4), (4, 5))) == 60
    assert "60" in Model(graph((3, 4), (4, 5))).summary([(3, 4), (4, 5)])


def test_messages() -> None:
    rule = r"^MatMul: shapes must be \(N, M, K\) and \(N, K, P\), or \(N, S, M, K\) and \(N, S, K, P\), got"
    for shapes in (((3, 4), (3, 4)), ((2, 3, 4), (4, 5)), ((4,), (4,))):
        with pytest.raises(ValueError, match=rule if len(shapes[0]) > 1 else "MatMul: input must have"):
            graph(*shapes)
    with pytest.raises(ValueError, match="MatMul: shapes must be equal, but for sizes of 1"):
        graph((2, 3, 4), (3, 4, 5))
    with pytest.raises(ValueError, match="MatMul: it takes 2 inputs, got 3"):
        graph((3, 3), (3, 3), (3, 3))


def test_backward_needs_a_forward() -> None:
    net = graph((3, 4), (4, 5))
    with pytest.raises(RuntimeError, match="call forward before backward"):
        net.backward(np.ones((1, 3, 5), np.float32))
