"""The learning rate range test: what it measures, that it leaves no trace, and its curve."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import minidl

pytestmark = pytest.mark.usefixtures("plain_backend")


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, 50)
    return (4 * np.eye(3)[y] + rng.standard_normal((50, 3))).astype(np.float32), y


def trainer(optimizer=None, average=None):
    model = minidl.Model(
        minidl.Linear(3, 8, rng=1),
        minidl.BatchNorm1D(8),
        minidl.Relu(),
        minidl.Dropout(0.1),
        minidl.Linear(8, 3, rng=2),
    )
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), optimizer or minidl.SGD(0.1, 0.9), average)


def test_the_losses_are_those_of_growing_rates(data):
    minidl.seed(1)
    with pytest.warns(UserWarning, match="gives no answer"):
        found = minidl.find_lr(trainer(minidl.SGD(0.1)), data, 1e-3, 1e-1, steps=9, batch_size=20, seed=4)
    np.testing.assert_allclose(found.rates, 10 ** np.linspace(-3, -1, 9), rtol=1e-12)
    minidl.seed(1)
    run = trainer(minidl.SGD(0.1))
    rng = np.random.default_rng(4)
    order = [index for _ in range(3) for index in np.split(rng.permutation(50), [20, 40])]
    average = 0.0
    for step, index in enumerate(order, 1):
        loss = run.loss.forward(run.model.forward(data[0][index], train=True), data[1][index])
        run.model.backward(run.loss.backward())
        run.optimizer.lr = found.rates[step - 1]
        run.optimizer.step(run.model.parameters())
        average = 0.9 * average + 0.1 * loss
        assert found.losses[step - 1] == pytest.approx(loss, rel=1e-5)
        assert found.smoothed[step - 1] == pytest.approx(average / (1 - 0.9**step), rel=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: trainer(),
        lambda: trainer(minidl.Adam(minidl.Cosine(0.01))),
        lambda: trainer(minidl.Lookahead(minidl.AdamW(0.01, clip_norm=1.0)), minidl.WeightAverage(0.9)),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_everything_comes_back(data, make, before):
    """The training that follows ends as it would have without the test."""
    plain, tested = make(), make()
    for run in (plain, tested):
        minidl.seed(3)
        for _ in range(before):
            run.fit(data, verbose=False, batch_size=20)
        history, position, content = run.history, run.run, minidl.training.checkpoint.pack(run)
        if run is tested:
            found = minidl.find_lr(run, data, end=1e6, steps=30)
            assert len(found.rates) <= 30
            assert (run.history, run.run) == (history, position)
            tensors, metadata = minidl.training.checkpoint.pack(run)
            assert metadata == content[1]
            assert {name: array.tobytes() for name, array in tensors.items()} == {
                name: array.tobytes() for name, array in content[0].items()
            }
        run.fit(data, verbose=False, batch_size=20, epochs=2)
    for name, array in plain.model.state().items():
        np.testing.assert_array_equal(tested.model.state()[name], array)


def test_it_ends_where_the_loss_goes_away(data):
    found = minidl.find_lr(trainer(minidl.SGD(0.1)), data, 1e-4, 1e8, steps=120)
    assert 10 < len(found.rates) < 120
    assert np.isfinite(found.losses).all()
    assert (found.smoothed <= 4 * np.minimum.accumulate(found.smoothed)).all()
    assert found.rates[0] < found.suggestion < found.rates[-1]


def test_the_suggestion_is_where_the_average_falls_most():
    rates = np.geomspace(1e-4, 1, 41)
    smoothed = 2 - 1 / (1 + np.exp(-3 * np.log(rates / 1e-2)))
    found = minidl.RangeTest(rates, smoothed, smoothed)
    assert found.suggestion == pytest.approx(1e-2)
    assert minidl.RangeTest(rates[:1], smoothed[:1], smoothed[:1]).suggestion == pytest.approx(1e-4)


def test_a_curve_that_gives_no_answer_says_so(rng):
    rates = np.geomspace(1e-6, 10, 100)

    def measured(losses):
        weights = 0.9 ** np.arange(len(losses))
        smoothed = [np.average(losses[: i + 1], weights=weights[i::-1]) for i in range(len(losses))]
        return minidl.RangeTest(rates[: len(losses)], losses, np.array(smoothed))

    falls = 0.5 + 1.5 / (1 + np.exp(2 * np.log(rates / 1e-2)))
    clear = measured(falls + 0.1 * rng.standard_normal(100))
    assert clear.doubt == ""
    assert 1e-3 < clear.suggestion < 3e-1
    # A trained model: the losses of the batches vary, and the average never falls.
    doubts = [
        measured(np.abs(0.05 + 0.03 * np.random.default_rng(seed).standard_normal(100))).doubt for seed in range(50)
    ]
    assert sum("nowhere falls by more than it varies" in doubt for doubt in doubts) >= 48
    assert "else take a start below 1e-06" in measured(2 - rates**0.01 + 0.5 * np.exp(-np.arange(100) / 5)).doubt
    assert "take an end above 10" in measured(2 - 1.5 / (1 + np.exp(-2 * np.log(rates / 10)))).doubt
    assert "too few steps" in measured(falls[:2]).doubt


def test_find_lr_warns_on_a_trained_model(data):
    run = trainer(minidl.SGD(0.1, 0.9))
    run.fit(data, epochs=30, batch_size=10, verbose=False, seed=0)
    with pytest.warns(UserWarning, match=r"find_lr: the curve gives no answer, .* trained already"):
        minidl.find_lr(run, data, batch_size=10)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"start": 0}, ValueError),
        ({"start": 1, "end": 0.1}, ValueError),
        ({"steps": 1}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"seed": -1}, ValueError),
        ({"steps": 2.5}, TypeError),
    ],
)
def test_bad_arguments_are_named(data, arguments, error):
    with pytest.raises(error, match=f"find_lr: {next(iter(arguments)) if len(arguments) == 1 else 'end'} must be"):
        minidl.find_lr(trainer(), data, **arguments)


def test_a_first_loss_that_is_no_number_is_an_error(data):
    run = trainer()
    run.model.parameters()[0].data[...] = np.nan
    with pytest.raises(FloatingPointError, match="find_lr: the loss must be finite before the first step"):
        minidl.find_lr(run, data)


def test_the_curve(data):
    pytest.importorskip("matplotlib")
    found = minidl.find_lr(trainer(), data, steps=40)
    axes = found.figure().axes[0]
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), found.losses)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), found.smoothed)
    assert f"{found.suggestion:.2g}" in axes.get_legend().get_texts()[2].get_text()


def test_the_curve_of_anything_with_its_four_attributes():
    pytest.importorskip("matplotlib")
    rates, losses = np.geomspace(1e-3, 1, 4), np.array([3.0, 2.0, 1.0, 5.0])
    measured = SimpleNamespace(rates=rates, losses=losses, smoothed=losses / 2, suggestion=0.125)
    axes = minidl.plots.range_test_figure(measured).axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), losses / 2)
    np.testing.assert_array_equal(axes.lines[2].get_xdata(), [0.125, 0.125])


@pytest.mark.filterwarnings("ignore:find_lr")
def test_gradients_that_cannot_be_clipped_end_the_test(data):
    class Refusing(minidl.SGD):
        def step(self, parameters):
            if self.steps == self.at:
                raise FloatingPointError("SGD: the gradients' norm must be finite to be clipped, got inf")
            super().step(parameters)

    optimizer = Refusing(0.1)
    optimizer.at = 5
    assert len(minidl.find_lr(trainer(optimizer), data, 1e-4, 1e-2, steps=20).rates) == 5
    optimizer.at = 0
    with pytest.raises(FloatingPointError, match="to be clipped, got inf"):
        minidl.find_lr(trainer(optimizer), data)


def test_no_layer_holds_a_batch_afterwards(data):
    run = trainer(minidl.SGD(0.1))
    with pytest.warns(UserWarning, match="gives no answer"):
        minidl.find_lr(run, data, 1e-3, 1e-1, steps=9, batch_size=20, seed=4)
    remembered = [(layer, name) for layer in run.model.layers for name in layer._remembered]
    assert len(remembered) >= 5
    assert [name for layer, name in remembered if getattr(layer, name) is not None] == []
