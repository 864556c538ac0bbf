"""gradcheck finds wrong gradients, and only those."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.checks.differences import rows_of

pytestmark = pytest.mark.usefixtures("plain_backend")


LAYERS = {
    "conv": (lambda: minidl.Conv2D(2, 4, (3, 2), stride=2, padding=1, dilation=(1, 2), groups=2), (3, 2, 6, 7)),
    "linear": (lambda: minidl.Linear(5, 3, bias=False), (4, 5)),
    "relu": (minidl.Relu, (4, 5)),
    "sigmoid": (minidl.Sigmoid, (4, 5)),
    "tanh": (minidl.Tanh, (4, 5)),
    "leaky": (lambda: minidl.LeakyRelu(0.3), (4, 5)),
    "elu": (lambda: minidl.Elu(0.5), (4, 5)),
    "gelu": (minidl.Gelu, (4, 5)),
    "softplus": (minidl.Softplus, (4, 5)),
    "groups": (lambda: minidl.GroupNorm(2, 4), (3, 4, 2, 3)),
    "layer": (lambda: minidl.LayerNorm((4, 2, 3)), (3, 4, 2, 3)),
    "max": (lambda: minidl.MaxPool2D(3, stride=2, padding=1), (2, 2, 6, 5)),
    "avg": (lambda: minidl.AvgPool2D(2), (2, 2, 6, 5)),
    "global": (minidl.GlobalAvgPool2D, (2, 3, 4, 4)),
    "norm2": (lambda: minidl.BatchNorm2D(3), (4, 3, 2, 2)),
    "norm1": (lambda: minidl.BatchNorm1D(3), (5, 3)),
    "dropout": (lambda: minidl.Dropout(0.4), (6, 5)),
    "flatten": (minidl.Flatten, (2, 3, 2, 2)),
    "residual": (lambda: minidl.Residual(minidl.Conv2D(2, 2, 3, padding=1), minidl.Conv2D(2, 2, 1)), (2, 2, 4, 4)),
}


@pytest.mark.parametrize("train", [True, False], ids=["train", "test"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_passes(name, train, rng):
    make, shape = LAYERS[name]
    layer = make()
    report = minidl.gradcheck(layer, rng.standard_normal(shape), train=train)
    assert report, str(report)
    assert [row.name for row in report.rows] == ["input", *(p.name for p in layer.parameters())]
    assert all(row.checked + row.kinks == min(np.prod(row.shape), 100) for row in report.rows)


def deep():
    return minidl.Model(
        minidl.Conv2D(1, 3, 3, padding=1, rng=0), minidl.BatchNorm2D(3), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Residual(minidl.Sequential(minidl.Conv2D(3, 3, 3, padding=1, rng=1), minidl.Relu())),
        minidl.Dropout(0.3), minidl.Flatten(), minidl.Linear(27, 8, rng=2), minidl.Tanh(), minidl.Linear(8, 5, rng=3),
    )  # fmt: skip


def test_a_model_passes_on_every_backend_and_stays_as_it_is(backend, rng):
    model = deep()
    before = model.state()
    x = np.where(rng.random((3, 1, 6, 6)) < 0.5, 0, 255).astype(np.uint8)  # many ties, many zeros
    report = minidl.gradcheck(model, x, samples=30)
    assert report, str(report)
    assert all(row.checked >= min(np.prod(row.shape), 30) / 2 for row in report.rows)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])
    assert model.dtype == np.float32


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (minidl.SoftmaxCrossEntropyLoss(), [1, 2, 0, 2]),
        (minidl.SoftmaxCrossEntropyLoss(label_smoothing=0.1), np.full((4, 3), 1 / 3)),
        (minidl.MSELoss(), np.arange(12.0).reshape(4, 3)),
    ],
)
def test_losses_pass(loss, target, rng):
    report = minidl.gradcheck(loss, rng.standard_normal((4, 3)), target)
    assert report, str(report)
    assert (report.rows[0].name, report.rows[0].checked) == ("predictions", 12)


class Wrong(minidl.Linear):
    """A layer whose gradients a test may bend."""

    def __init__(self, bend):
        super().__init__(4, 3, rng=0)
        self.bend = bend

    def _backward(self, dy):
        return self.bend(self, super()._backward(dy))


def percent(layer, dx):
    return dx * 1.01


def one_entry(layer, dx):
    layer.weight.grad[2, 1] += 1e-3
    return dx


def zeros(layer, dx):
    layer.bias.grad[...] = 0
    return dx


def nan(layer, dx):
    dx[1, 1] = np.nan
    return dx


@pytest.mark.parametrize(
    ("bend", "tensor", "where"),
    [(percent, "input", None), (one_entry, "weight", (2, 1)), (zeros, "bias", None), (nan, "input", (1, 1))],
)
def test_wrong_gradients_are_found_and_shown(bend, tensor, where, rng):
    report = minidl.gradcheck(Wrong(bend), rng.standard_normal((2, 4)))
    assert not report
    failed = [row for row in report.rows if not row.passed]
    assert [row.name for row in failed] == [tensor]
    assert where is None or failed[0].where == where
    assert "FAILED" in str(report)
    line = next(line for line in str(report).splitlines() if line.startswith(tensor))
    assert line.endswith("WRONG")
    assert f"{failed[0].analytic:.9g}" in line
    assert f"{failed[0].numeric:.9g}" in line


def test_a_wrong_loss_gradient_is_found(rng):
    class Doubled(minidl.MSELoss):
        def backward(self):
            return 2 * super().backward()

    assert not minidl.gradcheck(Doubled(), rng.standard_normal((2, 2)), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (minidl.Relu(), (3, 4)),
        (minidl.LeakyRelu(0.2), (3, 4)),
        (minidl.Elu(0.2), (3, 4)),
        (minidl.MaxPool2D(2), (1, 1, 4, 4)),
    ],
)
def test_inputs_at_a_kink_are_moved_away(layer, shape):
    x = np.zeros(shape)
    report = minidl.gradcheck(layer, x)
    assert report
    assert report.rows[0].kinks == 0
    assert not x.any()


def test_entries_that_stay_at_a_kink_are_left_out_and_counted():
    layer = minidl.Linear(2, 2, rng=0)
    layer.weight.data[0] = 0  # the first Relu's input is 0 for every x
    report = minidl.gradcheck(minidl.Sequential(layer, minidl.Relu()), np.ones((1, 2)))
    rows = {row.name: row for row in report.rows}
    assert rows["0.weight"].kinks == 2
    assert rows["0.bias"].kinks == 1
    assert rows["input"].kinks == 0
    assert report
    assert "at kinks" in str(report)


def test_large_tensors_are_sampled(rng):
    report = minidl.gradcheck(minidl.Linear(20, 20), rng.standard_normal((2, 20)), samples=7)
    assert [row.checked for row in report.rows] == [7, 7, 7]


def test_the_seed_repeats_a_report(rng):
    x = rng.standard_normal((2, 6))
    layer = minidl.Dropout(0.5)
    assert str(minidl.gradcheck(layer, x, seed=1)) == str(minidl.gradcheck(layer, x, seed=1))
    assert str(minidl.gradcheck(layer, x, seed=1)) != str(minidl.gradcheck(layer, x, seed=2))


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(
        TypeError, match=r"gradcheck: expected a layer, a model, a loss or a pair of functions .*, got 3"
    ):
        minidl.gradcheck(3, np.zeros(3))
    with pytest.raises(TypeError, match="MSELoss needs a target"):
        minidl.gradcheck(minidl.MSELoss(), np.zeros((2, 2)))
    with pytest.raises(TypeError, match="Relu: input must be an array of float32 or float64"):
        minidl.gradcheck(minidl.Relu(), np.zeros((2, 2), complex))
    with pytest.raises(ValueError, match="Linear"):
        minidl.gradcheck(minidl.Linear(3, 2), np.zeros((2, 2)))


class TestFunctions:
    """A pair of functions: with the arguments again, or with what forward has put aside."""

    def affine_forward(self, x, w, b):
        return x @ w + b, (x, w)

    def affine_backward(self, dy, cache):
        x, w = cache
        return dy @ w.T, x.T @ dy, dy.sum(axis=0)

    def test_forward_with_a_cache(self, rng):
        x = rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
        report = minidl.gradcheck((self.affine_forward, self.affine_backward), x)
        assert report
        assert [(row.name, row.shape, row.checked) for row in report.rows] == [
            ("x[0]", (4, 3), 12), ("x[1]", (3, 2), 6), ("x[2]", (2,), 2),
        ]  # fmt: skip
        assert str(report).startswith("gradcheck of (affine_forward, affine_backward): passed")

    def test_a_wrong_gradient_is_found_and_none_left_out(self, rng):
        def wrong(dy, cache):
            dx, dw, _ = self.affine_backward(dy, cache)
            return dx, 1.01 * dw, None

        x = rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
        assert [row.passed for row in minidl.gradcheck((self.affine_forward, wrong), x).rows] == [True, False]

    def test_functions_of_the_input_alone(self, rng):
        x = rng.standard_normal((4, 3)).astype(np.float32)
        assert minidl.gradcheck((np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2)), x)
        assert not minidl.gradcheck((np.tanh, lambda dy, x: dy), x)
        assert minidl.gradcheck((minidl.functional.gelu_forward, minidl.functional.gelu_backward), x)

    def test_what_does_not_fit_is_refused(self):
        x = np.ones((2, 2))
        with pytest.raises(ValueError, match="must give 1 gradients, got 2"):
            minidl.gradcheck((np.tanh, lambda dy, x: (dy, dy)), x)
        with pytest.raises(ValueError, match=r"gradient of input must have shape \(2, 2\).* got \(2,\)"):
            minidl.gradcheck((np.tanh, lambda dy, x: dy[0]), x)
        with pytest.raises(TypeError, match=r"x\[0\] must be an array of float32"):
            minidl.gradcheck((np.tanh, np.tanh), x.astype(int))


def test_a_report_is_a_table_in_notebooks(rng):
    report = minidl.gradcheck(minidl.Linear(3, 2, rng=1), rng.standard_normal((4, 3)))
    page = report._repr_html_()
    assert "gradcheck of Linear(3, 2): passed, tolerance 1e-06</caption>" in page
    assert [page.count(f">{name}</td>") for name in ("input", "weight", "bias", "ok")] == [1, 1, 1, 3]
    assert str(report) == f"gradcheck of Linear(3, 2): passed, tolerance 1e-06\n{report.table()}"
    wrong = minidl.gradcheck((np.square, lambda dy, x: dy * x), rng.standard_normal((2, 3)))
    assert "FAILED" in wrong._repr_html_()
    assert ">WRONG</td>" in wrong._repr_html_()


def two_and_two() -> minidl.Graph:
    """Two inputs, one of them read twice, a shared layer, two outputs."""
    a, b = minidl.Input((2, 3, 4)), minidl.Input((2, 4, 3))
    shared = minidl.Linear(18, 3)
    product = minidl.MatMul()(a, b)
    top, rest = minidl.Split((1, 2), axis=2)(minidl.Conv2D(2, 2, 1)(product))
    rows = [minidl.Flatten()(minidl.Concat(2)(*parts)) for parts in ((top, rest), (rest, top))]
    return minidl.Graph([a, b], [minidl.Relu()(shared(rows[0])), minidl.Sub()(shared(rows[1]), shared(rows[0]))])


@pytest.mark.parametrize("make", [two_and_two, lambda: minidl.Model(two_and_two())], ids=["graph", "model"])
def test_several_inputs_and_outputs(make, rng):
    x = [rng.standard_normal((3, 2, 3, 4)), rng.standard_normal((3, 2, 4, 3))]
    report = minidl.gradcheck(make(), x)
    assert report, report
    assert [(row.name, row.shape) for row in report.rows[:2]] == [("input 0", (3, 2, 3, 4)), ("input 1", (3, 2, 4, 3))]


def test_a_wrong_gradient_of_the_second_input_is_found(rng):
    class Wrong(minidl.MatMul):
        def _backward(self, dy):
            da, _ = super()._backward(dy)
            return da, da

    x = rng.standard_normal((2, 3, 3))
    assert [row.passed for row in minidl.gradcheck(Wrong(), [x, x + 1]).rows] == [True, False]
    assert minidl.gradcheck(minidl.MatMul(), [x, x + 1])


def test_several_inputs_must_be_a_list(rng):
    with pytest.raises(TypeError, match="MatMul: input must be a list of arrays, one for each input, got ndarray"):
        minidl.gradcheck(minidl.MatMul(), rng.standard_normal((2, 3, 3)))
    with pytest.raises(ValueError, match="MatMul: it takes 2 inputs, got 1"):
        minidl.gradcheck(minidl.MatMul(), [rng.standard_normal((2, 3, 3))])
    with pytest.raises(ValueError, match="Graph: it takes 2 inputs, got 1"):
        minidl.gradcheck(two_and_two(), [rng.standard_normal((2, 2, 3, 4))])


def test_a_row_tells_the_worst_entry_and_how_wrong_it_is():
    """The sum of squares, whose gradient is 2 x; of a kink (None) nothing is known."""

    def difference(flat, i, h):
        return None if i == 2 else (flat[i] + h) ** 2 - (flat[i] - h) ** 2

    data, wrong = np.array([1.0, 2.0, 5.0]), np.array([2.0, 3.0, 7.0])
    rows = rows_of({"x": (data, wrong), "none": (data[2:], wrong[2:])}, difference, 1e-6, 1e-3, 10, None)
    assert [(row.checked, row.kinks, row.passed, row.where) for row in rows[:1]] == [(2, 1, False, (1,))]
    assert rows[0].error == pytest.approx(0.25)
    assert (rows[0].analytic, rows[0].numeric) == (3.0, pytest.approx(4.0))
