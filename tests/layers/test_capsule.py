"""Capsule layers: shapes, messages, initial weights, and their gradients beside those of all layers."""

from __future__ import annotations

import numpy as np
import pytest
from layers.numeric import check_gradients

from minidl import gradcheck
from minidl.layers import CapsuleLength, Capsules, PrimaryCapsules

pytestmark = pytest.mark.usefixtures("any_backend")

CASES = {
    "primary": (lambda: PrimaryCapsules(3), (2, 6, 2, 3)),
    "primary_rows": (lambda: PrimaryCapsules(2), (3, 8)),
    "capsules": (lambda: Capsules(4, 3, 2, 5, rng=0), (3, 4, 3)),
    "capsules_one_routing": (lambda: Capsules(4, 8, 3, 2, routings=1, rng=0), (2, 4, 8)),
    "capsules_five_routings": (lambda: Capsules(3, 2, 4, 3, routings=5, rng=0), (2, 3, 2)),
    "length": (lambda: CapsuleLength(), (3, 4, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_central_differences(case, rng):
    make, shape = CASES[case]
    check_gradients(make(), rng.standard_normal(shape), rng, True)


@pytest.mark.parametrize("n", [0, 1, 17])
@pytest.mark.parametrize("case", CASES)
def test_batches(case, n):
    make, shape = CASES[case]
    layer = make()
    y = layer.forward(np.ones((n, *shape[1:]), np.float32))
    assert y.dtype == np.float32
    assert y.shape == (n, *layer.output_shape(shape[1:]))
    assert layer.backward(np.ones_like(y)).shape == (n, *shape[1:])
    layer.release()
    with pytest.raises(RuntimeError, match="call forward before backward"):
        layer.backward(np.ones_like(y))


def test_shapes_and_lengths(rng):
    x = rng.standard_normal((5, 16, 3, 2)).astype(np.float32)
    primary = PrimaryCapsules(8).forward(x)
    assert primary.shape == (5, 12, 8)
    layer = Capsules(12, 8, 10, 16, rng=0)
    v = layer.forward(primary)
    assert v.shape == (5, 10, 16)
    lengths = CapsuleLength().forward(v)
    np.testing.assert_allclose(lengths, np.linalg.norm(v, axis=2), rtol=1e-5)
    assert (lengths < 1).all()
    assert layer.multiply_adds((12, 8)) == 12 * 10 * 16 * 8 + 12 * 10 * 16 * 5
    assert repr(layer) == "Capsules(12, 8, 10, 16)"


def test_inputs_of_length_one_give_sums_of_length_one(rng):
    u = rng.standard_normal((200, 300, 8))
    u /= np.linalg.norm(u, axis=2, keepdims=True)
    layer = Capsules(300, 8, 10, 16, routings=1, rng=1).astype("float64")
    lengths = np.linalg.norm(layer.forward(u), axis=2)
    squares = lengths / (1 - lengths)  # |squash(s)| = |s|^2 / (1 + |s|^2)
    assert np.mean(squares) == pytest.approx(1, abs=0.05)


def test_no_gradient_at_length_zero():
    layer = CapsuleLength()
    layer.forward(np.zeros((2, 3, 4)))
    np.testing.assert_array_equal(layer.backward(np.ones((2, 3))), np.zeros((2, 3, 4)))


def test_gradcheck_takes_capsules(rng):
    report = gradcheck(Capsules(4, 3, 2, 5, rng=0), rng.standard_normal((3, 4, 3)))
    assert report.passed, report


BAD = {
    "dim": (lambda: PrimaryCapsules(0), ValueError, "dim must be at least 1, got 0"),
    "groups": (lambda: PrimaryCapsules(4).output_shape((6, 2, 2)), ValueError, "channels in groups of 4, got 6"),
    "rank": (lambda: PrimaryCapsules(4).forward(np.ones((1, 4, 2))), ValueError, "2 or 4 dimensions"),
    "routings": (lambda: Capsules(1, 1, 1, 1, 0), ValueError, "routings must be at least 1, got 0"),
    "capsules": (lambda: Capsules(1, 1, 2.0, 1), TypeError, "capsules must be an int"),
    "input": (lambda: Capsules(4, 3, 2, 5).forward(np.ones((2, 3, 4))), ValueError, r"input must be \(N, 4, 3\)"),
    "maps": (lambda: Capsules(4, 3, 2, 5).forward(np.ones((2, 4, 3, 1))), ValueError, "capsules of 3 values"),
    "length": (lambda: CapsuleLength().forward(np.ones((2, 4))), ValueError, r"must be capsules \(N, J, E\)"),
}


@pytest.mark.parametrize(("call", "error", "text"), BAD.values(), ids=BAD)
def test_messages(call, error, text):
    with pytest.raises(error, match=text):
        call()
