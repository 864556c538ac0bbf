"""The explanations of single numbers: they add up to what the network computes, and the loop beside them is real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("starlette")

import minidl
from minidl.checks import gradcheck
from minidl.kernels.reference import conv, pooling
from minidl.live.inside import SOFTMAX, explain
from minidl.live.narrate import narrate
from minidl.live.sliders import windows
from minidl.live.slow import SlowStep


@pytest.fixture(scope="module")
def model():
    minidl.seed(5)
    found = minidl.Model(
        minidl.Conv2D(3, 8, 3, stride=2, padding=1, groups=1),
        minidl.BatchNorm2D(8),
        minidl.Relu(),
        minidl.Conv2D(8, 12, (3, 2), padding=((1, 0), (2, 1)), dilation=(2, 1), groups=4, bias=False),
        minidl.MaxPool2D(3, 2, padding=1),
        minidl.Residual(minidl.Sequential(minidl.Conv2D(12, 12, 3, padding=1), minidl.Relu())),
        minidl.AvgPool2D(2, 1, padding=1),
        minidl.GlobalAvgPool2D(),
        minidl.Linear(12, 20),
        minidl.BatchNorm1D(20),
        minidl.Relu(),
        minidl.Linear(20, 6),
    )
    rng = np.random.default_rng(1)
    for name, array in found.buffers().items():
        array[...] = rng.uniform(0.5, 2, array.shape) if "var" in name else rng.normal(size=array.shape)
    for name, parameter in found.named_parameters().items():
        if "bias" in name or "gamma" in name or "beta" in name:
            parameter.data[...] = rng.normal(size=parameter.data.shape)
    return found


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(2).integers(0, 256, (3, 16, 14), np.uint8)


def last_number(told):
    lines = [value for text, value in told["sums"] if not text.startswith("the Relu behind")]
    return lines[-1]


TAKEN_APART = {"Conv2D", "BatchNorm2D", "BatchNorm1D", "Relu", "MaxPool2D", "AvgPool2D", "GlobalAvgPool2D", "Linear"}


def test_every_calculation_ends_in_the_number_that_the_network_computes(model, image):
    rng = np.random.default_rng(3)
    seen = set()
    for label, output in model.activations(image[None]):
        place, kind = label.split()
        if kind not in TAKEN_APART:
            continue
        for _ in range(8):
            where = [int(rng.integers(size)) for size in output.shape[1:]]
            told = explain(model, image, place, *(where if len(where) == 3 else (0, 0, where[0])))
            value = float(output[(0, *where)])
            assert told["value"] == pytest.approx(value, rel=1e-5)
            assert last_number(told) == pytest.approx(value, rel=1e-4, abs=1e-5), (label, where)
            seen.add(kind)
            notes = [line["note"] for line in told["code"]["lines"] if line["note"]]
            if kind not in ("Relu", "BatchNorm2D", "BatchNorm1D"):
                number = [note for note in notes if note.startswith("y[n, ")][-1].rsplit(" = ", 1)[1]
                assert float(number) == pytest.approx(value, rel=1e-3, abs=1e-4), (label, where)
    assert seen == TAKEN_APART


def test_the_window_is_where_the_layer_looks(model, image):
    """A change of any number outside of the window changes nothing; of one inside, the explained number."""
    told = explain(model, image, "0", 2, 3, 6)
    window = told["window"]
    assert (window["source"], window["channels"]) == ("", [0, 1, 2])
    assert (window["rows"], window["columns"]) == ([5, 6, 7], [11, 12, 13])
    other = image.copy()
    inside = np.ix_(window["channels"], window["rows"], window["columns"])
    other[...] = 255 - other
    other[inside] = image[inside]
    assert explain(model, other, "0", 2, 3, 6)["value"] == told["value"]
    other[1, 6, 12] += 9
    assert explain(model, other, "0", 2, 3, 6)["value"] != told["value"]


def test_windows_of_groups_and_padding(model, image):
    told = explain(model, image, "3", 4, 0, 0)
    assert told["window"] == {"source": "2", "channels": [2, 3], "rows": [-1, 1, 3], "columns": [-2, -1]}
    window, kernel, products = (np.array(grid["cells"]) for grid in told["grids"][:3])
    assert not window.any()  # all of it is padding
    np.testing.assert_allclose(kernel, model.layers[3].weight.data[4, 0], rtol=1e-5)
    assert products.shape == (3, 2)


def test_the_largest_number_of_a_window_is_marked(model, image):
    told = explain(model, image, "4", 7, 1, 2)
    (grid,) = told["grids"]
    cells = np.array(grid["cells"])
    assert list(np.unravel_index(cells.argmax(), cells.shape)) == grid["marked"]


def test_sources_go_past_a_residual_layer(model, image):
    assert explain(model, image, "5.body.0", 0, 0, 0)["window"]["source"] == "4"
    assert explain(model, image, "6", 0, 0, 0)["window"]["source"] == "5"
    assert "not taken apart" in explain(model, image, "5", 0, 0, 0)["words"]


def test_softmax(model, image):
    probabilities = model.predict_proba(image[None])[0]
    for column in range(6):
        told = explain(model, image, SOFTMAX, 0, 0, column)
        assert told["value"] == pytest.approx(probabilities[column], rel=1e-4)
    with pytest.raises(ValueError, match="no number 6"):
        explain(model, image, SOFTMAX, 0, 0, 6)


def test_flatten_tells_where_a_number_was():
    model = minidl.Model(minidl.Flatten(), minidl.Linear(24, 2))
    told = explain(model, np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "0", 0, 0, 17)
    assert told["window"] == {"source": "", "channels": [1], "rows": [1], "columns": [1]}


# ---- the loop -------------------------------------------------------------------------------------------------------


def test_the_loop_is_the_specification_itself_with_its_own_values():
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(1, 2, 5, 6)), rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3)
    arguments = {"x": x, "w": w, "b": b, "stride": (2, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    told = narrate(conv.conv2d_forward, arguments, {"n": 0, "o": 2, "oh": 1, "ow": 4})
    notes = {line["text"].strip(): line["note"] for line in told["lines"]}
    assert notes["for oh in range(OH):"] == "oh = 1"
    assert notes["rows = taps(oh, KH, stride[0], dilation[0])"] == "rows = 2:5"
    assert notes["columns = taps(ow, KW, stride[1], dilation[1])"] == "columns = 4:7"
    assert notes["O, CG, KH, KW = w.shape"] == "O = 3, CG = 2, KH = 3, KW = 3"
    expected = conv.conv2d_forward(**arguments)[0, 2, 1, 4]
    assert notes["y[n, o, oh, ow] += b[o]"] == f"y[n, o, oh, ow] = {expected:.5g}"
    assert told["file"] == "minidl/kernels/reference/conv.py"
    assert told["lines"][0]["text"] == "def conv2d_forward("


def test_loops_inside_of_a_list_run_whole():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    arguments = {"x": x, "kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    told = narrate(pooling.maxpool2d_forward, arguments, {"n": 0, "c": 0, "oh": 1, "ow": 1})
    notes = [line["note"] for line in told["lines"] if line["note"]]
    assert "window = 10 11; 14 15" in notes
    assert "y[n, c, oh, ow] = 15" in notes


def test_a_tracer_of_somebody_else_is_put_back():
    import sys

    def other(frame, event, argument):
        return None

    before = sys.gettrace()
    sys.settrace(other)
    try:
        narrate(pooling.global_avgpool_forward, {"x": np.ones((1, 1, 2, 2))}, {"n": 0, "c": 0})
        assert sys.gettrace() is other
    finally:
        sys.settrace(before)


# ---- sliders --------------------------------------------------------------------------------------------------------


def test_sliders_compute_and_explain_every_combination():
    for size in (1, 3, 7):
        for kernel in (1, 2, 3, 7):
            for stride, padding, dilation in ((1, 0, 1), (2, 1, 1), (5, 0, 1), (1, 2, 2), (3, 5, 4)):
                told = windows(size, kernel, stride, padding, dilation)
                room, reach = size + 2 * padding, dilation * (kernel - 1) + 1
                if reach > room:
                    assert told["output"] is None
                    assert told["error"].startswith("Conv2D: the kernel's height")
                    assert f"covers {reach} pixels" in told["words"]
                    continue
                count = (room - reach) // stride + 1
                assert np.shape(told["output"]) == (count, count)
                x = np.pad(np.array(told["image"]), padding)
                w = np.array(told["kernel"])
                window = x[:reach:dilation, :reach:dilation]
                assert told["output"][0][0] == (window * w).sum()
                assert f"= {count} positions" in told["words"]


@pytest.mark.parametrize("which", range(5))
def test_sliders_say_what_must_be_at_least_one(which):
    asked = [7, 3, 1, 0, 1]
    if which == 3:
        return
    asked[which] = 0
    told = windows(*asked)
    assert told["output"] is None
    assert told["words"].endswith("must be at least 1.")


# ---- one step -------------------------------------------------------------------------------------------------------


def test_a_slow_step_is_a_step_of_sgd(model, image):
    x = np.stack([image, image[:, ::-1]])
    y = np.array([1, 4])
    before = model.state()
    slow = SlowStep(model, x, y, tuple("abcdef"))
    told = [slow.step(0.05), slow.step(0.05)]
    minidl.seed(0)
    import copy

    other = copy.deepcopy(model)
    trainer = minidl.Trainer(other, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.05))
    history = trainer.fit((x, y), epochs=2, batch_size=2, seed=0, verbose=False)
    assert [each["loss"] for each in told] == pytest.approx(history["train_loss"], rel=1e-4)
    for name, array in other.state().items():
        if "running" not in name:  # the slow step looks at the loss afterwards, in training's mode
            np.testing.assert_allclose(slow.model.state()[name], array, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(model.state()[name], before[name])
    assert told[0]["after"] == pytest.approx(told[1]["loss"], rel=1e-4)
    row = told[0]["parameters"][0]
    for entry in row["entries"]:
        assert entry["after"] == pytest.approx(entry["before"] - 0.05 * entry["grad"], rel=1e-3, abs=1e-6)
    assert [layer["place"] for layer in told[0]["layers"]] == [str(i) for i in range(12)]


def test_its_gradients_are_checked(model, image):
    slow = SlowStep(model, image[None], np.array([3]), tuple("abcdef"))
    slow.step(0.01)
    told = slow.check()
    assert told["passed"] is True
    assert told["rows"][0]["name"] == "input"
    assert told["rows"][-1]["name"] == "loss, at scores of size 1"
    assert all(row["error"] <= told["tolerance"] for row in told["rows"])


def test_a_tensor_of_which_a_kink_left_nothing_is_moved_by_less(model, image, monkeypatch):
    """With 3 of 5 seeds all steps of a first bias cross one, of some of its thousands of pixels."""
    steps = []

    def check(thing, x, y=None, eps=1e-5, **options):
        report = gradcheck.gradcheck(thing, x, y, eps=eps, **options)
        if isinstance(thing, minidl.Model):
            steps.append(eps)
        if not isinstance(thing, minidl.Model) or eps < 1e-5:
            return report
        nothing = {"checked": 0, "kinks": 8, "error": 0.0, "analytic": np.nan, "numeric": np.nan, "passed": False}
        rows = (replace(row, **nothing) if row.name == "0.bias" else row for row in report.rows)
        return replace(report, rows=tuple(rows))

    monkeypatch.setattr("minidl.live.slow.gradcheck", check)
    told = SlowStep(model, image[None], np.array([3]), tuple("abcdef")).check()
    bias = next(row for row in told["rows"] if row["name"] == "0.bias")
    assert steps == [1e-5, 1e-6]
    assert bias["checked"] > 0
    assert bias["analytic"] == pytest.approx(bias["numeric"], rel=1e-5)
    assert told["passed"] is True
