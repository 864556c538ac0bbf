"""Batch normalisation: values, running statistics, modes, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.layers import BatchNorm1D, BatchNorm2D


@pytest.mark.usefixtures("any_backend")
class TestValues:
    def test_training_normalises_each_channel(self, rng: np.random.Generator) -> None:
        layer = BatchNorm2D(3).astype("float64")
        x = rng.normal([[[[4.0]], [[-2.0]], [[0.0]]]], [[[[3.0]], [[0.5]], [[1.0]]]], (5, 3, 4, 3))
        y = layer.forward(x, train=True)
        np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
        np.testing.assert_allclose(y.var((0, 2, 3)), x.var((0, 2, 3)) / (x.var((0, 2, 3)) + 1e-5), rtol=1e-10)
        layer.gamma.data[:], layer.beta.data[:] = (1, 2, 3), (10, 20, 30)
        np.testing.assert_allclose(layer.forward(x, train=True).mean((0, 2, 3)), [10, 20, 30], rtol=1e-10)

    def test_values_by_hand(self) -> None:
        layer = BatchNorm1D(1, eps=1.0)
        layer.gamma.data[:], layer.beta.data[:] = 3, 5
        x = np.array([[0], [2 * np.sqrt(3)]], np.float32)  # mean sqrt(3), variance 3, inv_std 1/2
        np.testing.assert_allclose(layer.forward(x, train=True), [[5 - 1.5 * np.sqrt(3)], [5 + 1.5 * np.sqrt(3)]], 1e-6)
        dx = layer.backward(np.array([[1], [0]], np.float32))
        # dbeta/M = 1/2; dgamma = xhat[0] = -sqrt(3)/2; dx[0] = 3/2 (1 - 1/2 - 3/8) = 3/16
        np.testing.assert_allclose(layer.gamma.grad, [-np.sqrt(3) / 2], rtol=1e-6)
        np.testing.assert_allclose(layer.beta.grad, [1], rtol=1e-6)
        np.testing.assert_allclose(dx, [[3 / 16], [-3 / 16]], rtol=1e-5)

    def test_running_statistics_use_the_population_variance(self) -> None:
        layer = BatchNorm1D(1, momentum=0.75)
        layer.forward(np.array([[1], [5]], np.float32), train=True)  # mean 3, population variance 4 (unbiased: 8)
        np.testing.assert_allclose(layer.running_mean, [0.75 * 0 + 0.25 * 3])
        np.testing.assert_allclose(layer.running_var, [0.75 * 1 + 0.25 * 4])

    @pytest.mark.parametrize(("momentum", "mean", "var"), [(0.0, 3.0, 4.0), (1.0, 0.0, 1.0)])
    def test_the_ends_of_momentum(self, momentum: float, mean: float, var: float) -> None:
        layer = BatchNorm1D(1, momentum=momentum)
        layer.forward(np.array([[1], [5]], np.float32), train=True)
        np.testing.assert_allclose((layer.running_mean[0], layer.running_var[0]), (mean, var))

    def test_inference_uses_and_keeps_the_running_statistics(self) -> None:
        layer = BatchNorm2D(2, eps=0.5)
        layer.running_mean[:], layer.running_var[:] = (1, -1), (3.5, 0.5)
        layer.gamma.data[:], layer.beta.data[:] = (2, 3), (0, 1)
        x = np.full((2, 2, 1, 2), 3, np.float32)
        y = layer.forward(x)
        np.testing.assert_allclose(y[:, 0], 2 * (3 - 1) / 2, rtol=1e-6)
        np.testing.assert_allclose(y[:, 1], 3 * (3 + 1) + 1, rtol=1e-6)
        np.testing.assert_array_equal(layer.running_mean, [1, -1])
        np.testing.assert_array_equal(layer.running_var, [3.5, 0.5])
        np.testing.assert_allclose(layer.backward(np.ones_like(y))[0, :, 0, 0], [2 / 2, 3], rtol=1e-6)

    def test_backward_follows_the_mode_of_the_last_forward(self, rng: np.random.Generator) -> None:
        layer = BatchNorm1D(2)
        x = rng.standard_normal((4, 2)).astype(np.float32)
        layer.forward(x, train=True)
        np.testing.assert_allclose(layer.backward(np.ones_like(x)), 0, atol=1e-6)
        layer.forward(x, train=False)
        assert (layer.backward(np.ones_like(x)) > 0.5).all()

    def test_an_empty_batch_changes_nothing(self) -> None:
        layer = BatchNorm1D(2)
        assert layer.forward(np.zeros((0, 2), np.float32), train=True).shape == (0, 2)
        np.testing.assert_array_equal(layer.running_mean, [0, 0])
        np.testing.assert_array_equal(layer.running_var, [1, 1])


def test_parameters_and_buffers() -> None:
    layer = BatchNorm2D(3)
    gamma, beta = layer.parameters()
    assert (gamma.name, beta.name, gamma.decay, beta.decay) == ("gamma", "beta", False, False)
    np.testing.assert_array_equal(gamma.data, np.ones(3, np.float32))
    np.testing.assert_array_equal(beta.data, np.zeros(3, np.float32))
    buffers = layer.buffers()
    assert list(buffers) == ["running_mean", "running_var"]
    assert buffers["running_mean"] is layer.running_mean
    layer.astype("float64")
    assert layer.running_var.dtype == np.float64


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((0,), ValueError, "BatchNorm2D: channels must be at least 1, got 0"),
        ((3, 0.0), ValueError, "BatchNorm2D: eps must be positive, got 0.0"),
        ((3, "1e-5"), TypeError, "BatchNorm2D: eps must be a number, got '1e-5'"),
        ((3, 1e-5, 1.1), ValueError, r"BatchNorm2D: momentum must be in \[0, 1\], got 1.1"),
        ((3, 1e-5, float("nan")), ValueError, r"BatchNorm2D: momentum must be in \[0, 1\], got nan"),
    ],
)
def test_bad_arguments(args: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BatchNorm2D(*args)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (BatchNorm2D, (2, 3), r"BatchNorm2D: input must have 4 dimensions \(N, C, H, W\), got shape \(2, 3\)"),
        (BatchNorm1D, (2, 3, 1, 1), r"BatchNorm1D: input must have 2 dimensions \(N, C\), got shape \(2, 3, 1, 1\)"),
        (BatchNorm2D, (2, 4, 1, 1), "BatchNorm2D: input must have 3 channels, got 4"),
    ],
)
def test_bad_input(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(3).forward(np.zeros(shape, np.float32), train=True)
