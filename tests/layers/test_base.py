"""What all layers have in common: dtypes, memory orders, messages, release, copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import kernels
from minidl.layers import (
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    Linear,
    MaxPool2D,
    Parameter,
    Relu,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)

IMAGES: dict[str, Callable[[], Layer]] = {
    "Conv2D": lambda: Conv2D(2, 3, 3, rng=0),
    "MaxPool2D": lambda: MaxPool2D(2),
    "AvgPool2D": lambda: AvgPool2D(2),
    "GlobalAvgPool2D": lambda: GlobalAvgPool2D(),
    "Relu": lambda: Relu(),
    "Sigmoid": lambda: Sigmoid(),
    "Tanh": lambda: Tanh(),
    "BatchNorm2D": lambda: BatchNorm2D(2),
    "Dropout": lambda: Dropout(0.5),
    "Flatten": lambda: Flatten(),
    "Reshape": lambda: Reshape(-1),
    "Sequential": lambda: Sequential(Conv2D(2, 2, 1, rng=0), Relu()),
    "Residual": lambda: Residual(Conv2D(2, 2, 1, rng=0)),
}
ROWS: dict[str, Callable[[], Layer]] = {"Linear": lambda: Linear(4, 3, rng=0), "BatchNorm1D": lambda: BatchNorm1D(4)}
ALL = IMAGES | ROWS


def example(name: str) -> np.ndarray:
    shape = (3, 4) if name in ROWS else (3, 2, 4, 4)
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


@pytest.mark.usefixtures("any_backend")
class TestArrays:
    @pytest.mark.parametrize("name", ALL)
    def test_memory_order_does_not_matter(self, name: str) -> None:
        x = example(name)
        expected = ALL[name]().forward(x)
        wide = np.repeat(x, 2, axis=-1)[..., ::2]
        readonly = x.copy()
        readonly.flags.writeable = False
        for other in (np.asfortranarray(x), wide, readonly, x.astype(x.dtype.newbyteorder()), x.tolist()):
            if isinstance(other, list):
                other = np.array(other, np.float32)
            np.testing.assert_array_equal(ALL[name]().forward(other), expected)

    @pytest.mark.parametrize("name", ALL)
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_dtype_follows_the_parameters_or_the_input(self, name: str, dtype: str) -> None:
        layer = ALL[name]().astype(dtype)
        y = layer.forward(example(name).astype(dtype), train=True)
        assert y.dtype == dtype
        dx = layer.backward(np.ones(y.shape, "float64" if dtype == "float32" else "float32"))
        assert dx.dtype == dtype
        assert {p.data.dtype for p in layer.parameters()} <= {np.dtype(dtype)}
        assert {p.grad.dtype for p in layer.parameters()} <= {np.dtype(dtype)}
        assert {b.dtype for b in layer.buffers().values()} <= {np.dtype(dtype)}

    def test_input_is_converted_to_the_parameters_dtype(self) -> None:
        assert Linear(4, 3).forward(np.ones((2, 4))).dtype == np.float32
        assert Linear(4, 3).forward(np.ones((2, 4), np.float16)).dtype == np.float32
        assert Relu().forward(np.ones((2, 4), np.float16)).dtype == np.float32

    @pytest.mark.parametrize("name", ALL)
    @pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "complex64", "object"])
    def test_other_dtypes_are_refused(self, name: str, dtype: str) -> None:
        message = rf"{name}: input must be an array of float32 or float64, got dtype {dtype}"
        with pytest.raises(TypeError, match=message):
            ALL[name]().forward(example(name).astype(dtype))

    @pytest.mark.parametrize("name", ALL)
    @pytest.mark.parametrize("shape", [(), (3,), (3, 4, 4), (1, 3, 2, 4, 4)])
    def test_other_ranks_are_refused(self, name: str, shape: tuple[int, ...]) -> None:
        layer = ALL[name]()
        if len(shape) in layer._ranks:
            return  # rows of vectors, for what works element by element or on the last axes
        with pytest.raises(ValueError, match=rf"({name}|Conv2D)\)?: .*(dimensions|elements)"):
            layer.forward(np.ones(shape, np.float32))


@pytest.mark.usefixtures("any_backend")
class TestBackward:
    @pytest.mark.parametrize("name", ALL)
    def test_before_forward_and_after_release_it_is_an_error(self, name: str) -> None:
        layer = ALL[name]()
        x = example(name)
        with pytest.raises(RuntimeError, match=rf"{name}: call forward before backward"):
            layer.backward(x)
        y = layer.forward(x)
        layer.release()
        with pytest.raises(RuntimeError, match=r"call forward before backward"):
            layer.backward(np.ones_like(y))
        layer.forward(x)
        assert layer.backward(np.ones_like(y)).shape == x.shape

    @pytest.mark.parametrize("name", ALL)
    def test_twice_gives_the_same_and_overwrites(self, name: str) -> None:
        layer = ALL[name]()
        y = layer.forward(example(name), train=True)
        dy = np.ones_like(y)
        dx = layer.backward(dy).copy()
        grads = [p.grad.copy() for p in layer.parameters()]
        np.testing.assert_array_equal(layer.backward(dy), dx)
        for parameter, grad in zip(layer.parameters(), grads, strict=True):
            np.testing.assert_array_equal(parameter.grad, grad)

    @pytest.mark.parametrize("name", ALL)
    def test_wrong_dy_is_refused(self, name: str) -> None:
        layer = ALL[name]()
        y = layer.forward(example(name))
        with pytest.raises(ValueError, match=rf"{name}: dy must have shape \(3, .*\(the last output's\), got \(7,"):
            layer.backward(np.ones((7, *y.shape[1:]), np.float32))
        with pytest.raises(TypeError, match=rf"{name}: dy must be an array of float32 or float64, got dtype int64"):
            layer.backward(np.ones(y.shape, np.int64))

    @pytest.mark.parametrize("name", ["Conv2D", "Linear", "Sequential", "Residual"])
    def test_users_get_dx_even_from_a_first_layer(self, name: str) -> None:
        layer = ALL[name]()
        y = layer.forward(example(name))
        expected = layer.backward(np.ones_like(y))
        layer.need_dx = False
        np.testing.assert_array_equal(layer.backward(np.ones_like(y)), expected)
        assert layer.need_dx is False

    def test_the_backend_of_the_forward_pass_does_the_backward_pass(self) -> None:
        layer = Linear(4, 3, rng=0)
        y = layer.forward(example("Linear"))
        expected = layer.backward(np.ones_like(y))
        with kernels.use("reference"):
            np.testing.assert_array_equal(layer.backward(np.ones_like(y)), expected)


class TestChecks:
    def test_a_step_of_known_shape_is_not_checked_again(self) -> None:
        class Counted(Relu):
            checks = 0

            def _check(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
                self.checks += 1
                return x_shape

        layer = Counted()
        for n in (3, 3, 3, 2, 2):
            layer.forward(np.ones((n, 4), np.float32))
        assert layer.checks == 2
        layer.forward(np.ones((2, 4)))
        assert layer.checks == 3

    def test_run_refuses_an_array_of_another_dtype_than_the_parameters(self) -> None:
        kernels.use("reference")
        layer = Linear(4, 3)
        layer.run(np.ones((2, 4), np.float32), False)
        with pytest.raises(TypeError, match="Linear: input must have the parameters' dtype float32, got float64"):
            layer.run(np.ones((2, 4)), False)

    def test_astype_forgets_and_refuses(self) -> None:
        layer = Linear(4, 3)
        y = layer.forward(np.ones((2, 4), np.float32))
        assert layer.astype("float64") is layer
        with pytest.raises(RuntimeError, match="Linear: call forward before backward"):
            layer.backward(y)
        for dtype in ("float16", "int32"):
            with pytest.raises(TypeError, match=f"Linear: dtype must be float32 or float64, got {dtype}"):
                layer.astype(dtype)

    def test_a_name_replaces_the_class_in_messages(self) -> None:
        with pytest.raises(ValueError, match="stem: input must have 2 dimensions"):
            Linear(4, 3, name="stem").forward(np.ones((2, 1, 2, 2), np.float32))

    def test_an_unfinished_subclass_says_what_is_missing(self) -> None:
        class Empty(Layer):
            pass

        with pytest.raises(NotImplementedError, match="Empty must define compute, or _forward"):
            Empty().forward(np.ones((1, 1), np.float32))


class TestReading:
    @pytest.mark.parametrize(
        ("layer", "text"),
        [
            (Conv2D(1, 8, 3, padding=1), "Conv2D(1, 8, 3, padding=1)"),
            (
                Conv2D(4, 8, (3, 5), (2, 1), dilation=2, groups=2, bias=False),
                "Conv2D(4, 8, (3, 5), stride=(2, 1), dilation=2, groups=2, bias=False)",
            ),
            (MaxPool2D(2), "MaxPool2D(2)"),
            (AvgPool2D(3, 2, 1), "AvgPool2D(3, stride=2, padding=1)"),
            (Linear(3, 4, bias=False), "Linear(3, 4, bias=False)"),
            (BatchNorm2D(4, eps=0.001, momentum=0.5), "BatchNorm2D(4, eps=0.001, momentum=0.5)"),
            (BatchNorm1D(4), "BatchNorm1D(4)"),
            (Dropout(0.25), "Dropout(0.25)"),
            (Reshape((2, 3, 4)), "Reshape((2, 3, 4))"),
            (Sequential(Relu(), Residual(Relu(), Tanh())), "Sequential(Relu(), Residual(Relu(), Tanh()))"),
            (Parameter(np.zeros((2, 3), np.float32), "w"), "Parameter('w', shape=(2, 3), dtype=float32)"),
        ],
    )
    def test_repr_is_the_call(self, layer: object, text: str) -> None:
        assert repr(layer) == text

    @pytest.mark.parametrize("name", ALL)
    def test_copies_and_pickles_compute_the_same_without_the_batch(self, name: str) -> None:
        layer = ALL[name]()
        x = example(name)
        expected = layer.forward(x)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            with pytest.raises(RuntimeError, match="call forward before backward"):
                other.backward(expected)
            np.testing.assert_array_equal(other.forward(x), expected)
            assert [p.name for p in other.parameters()] == [p.name for p in layer.parameters()]
        assert len(pickle.dumps(layer)) < 6000


class Swish(Layer):
    """x * sigmoid(a x) with a learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.a = minidl.Parameter(np.array([1.5], np.float32), "a")

    def compute(self, x: np.ndarray) -> np.ndarray:
        x /= 1 + np.exp(-self.a.data * x)  # in place
        return x

    def gradient(self, dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        s = 1 / (1 + np.exp(-self.a.data * x))
        self.a.grad[...] = (dy * x * x * s * (1 - s)).sum()
        return dy * (s + self.a.data * y * (1 - s))


class Pairs(Layer):
    """The sums of neighbours in a row, float64 by mistake."""

    def _check(self, x_shape: Any) -> Any:
        return x_shape[0], x_shape[1] // 2

    def compute(self, x: np.ndarray) -> np.ndarray:
        return x[:, ::2].astype(np.float64) + x[:, 1::2]

    def gradient(self, dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.repeat(dy, 2, axis=1)


@pytest.mark.usefixtures("any_backend")
class TestCompute:
    """A layer of one's own on numpy arrays."""

    def test_values(self) -> None:
        x = np.array([[0.0, 2.0, -2.0]], np.float32)
        layer = Swish()
        expected = x / (1 + np.exp(-1.5 * x))
        np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-6)
        np.testing.assert_array_equal(x, [[0, 2, -2]])
        np.testing.assert_allclose(layer.backward(np.ones_like(x))[0, 0], 0.5)
        model = minidl.Model(layer, Pairs(), dtype="float32")
        assert model.predict(np.ones((3, 4), np.float32)).shape == (3, 2)
        assert model.predict(np.ones((3, 4), np.float32)).dtype == np.float32

    def test_gradients_inside_of_a_network(self, rng: np.random.Generator) -> None:
        model = minidl.Model(
            minidl.Conv2D(1, 2, 3, rng=1), Swish(), minidl.Flatten(), Pairs(), minidl.Linear(4, 2, rng=2)
        )
        assert minidl.gradcheck(model, rng.random((3, 1, 4, 4), np.float32))

    def test_release_forgets(self) -> None:
        layer = Swish()
        with pytest.raises(RuntimeError, match="Swish: call forward before backward"):
            layer.backward(np.ones((1, 3), np.float32))
        layer.forward(np.ones((1, 3), np.float32))
        layer.release()
        with pytest.raises(RuntimeError, match="Swish: call forward before backward"):
            layer.backward(np.ones((1, 3), np.float32))

    def test_shapes_and_missing_parts(self) -> None:
        class Cut(Layer):
            def compute(self, x: np.ndarray) -> np.ndarray:
                return x[:, 1:]

        class Wrong(Layer):
            def compute(self, x: np.ndarray) -> np.ndarray:
                return x

            def gradient(self, dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
                return dy[:1]

        x = np.ones((2, 3), np.float32)
        with pytest.raises(ValueError, match=r"Cut: the result of compute must have shape \(2, 3\) \(by _check"):
            Cut().forward(x)
        wrong = Wrong()
        with pytest.raises(ValueError, match=r"Wrong: the gradient must have shape \(2, 3\) .* got \(1, 3\)"):
            wrong.backward(wrong.forward(x))
        half = type("Half", (Layer,), {"compute": lambda self, x: x})()
        half.forward(x)
        with pytest.raises(NotImplementedError, match="Half must define gradient, or _backward"):
            half.backward(x)
