"""Model: input scaling, prediction in batches, activations, summary, weights on disk."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import minidl
from minidl import kernels, safetensors

pytestmark = pytest.mark.usefixtures("plain_backend")


def small(**arguments):
    return minidl.Model(
        minidl.Conv2D(2, 3, 3, padding=1, rng=1),
        minidl.BatchNorm2D(3),
        minidl.Relu(),
        minidl.MaxPool2D(2),
        minidl.Residual(minidl.Conv2D(3, 3, 1, rng=2)),
        minidl.Flatten(),
        minidl.Linear(12, 4, rng=3),
        **arguments,
    )


@pytest.fixture
def x(rng):
    return rng.standard_normal((7, 2, 4, 4)).astype(np.float32)


# ---- input -----------------------------------------------------------------------------------------------------------


def test_uint8_is_scaled_by_mean_and_std_per_channel(backend, rng):
    model = small(mean=[0.25, 0.5], std=[0.5, 2.0], dtype="float64")
    images = rng.integers(0, 256, (5, 2, 4, 4), dtype=np.uint8)
    mean, std = np.array([0.25, 0.5]).reshape(2, 1, 1), np.array([0.5, 2.0]).reshape(2, 1, 1)
    np.testing.assert_allclose(model.forward(images), model.forward((images / 255 - mean) / std), rtol=1e-12)


def test_without_mean_and_std_uint8_goes_to_zero_to_one(rng):
    images = rng.integers(0, 256, (5, 6), dtype=np.uint8)
    model = minidl.Model(minidl.Linear(6, 2), dtype="float64")
    np.testing.assert_allclose(model.predict(images), model.predict(images / 255), rtol=1e-12)


def test_rows_can_have_one_mean_a_feature(rng):
    images = rng.integers(0, 256, (5, 3), dtype=np.uint8)
    model = minidl.Model(minidl.Linear(3, 2), dtype="float64", mean=[0.1, 0.2, 0.3])
    np.testing.assert_allclose(model.predict(images), model.predict(images / 255 - [0.1, 0.2, 0.3]), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_everywhere_and_stays(x, dtype):
    model = small(dtype=dtype)
    for given in (x, x.astype(np.float64), x.astype(np.float16), np.zeros((2, 2, 4, 4), np.uint8)):
        assert model.forward(given).dtype == dtype
        assert model.predict(given).dtype == dtype
    assert {array.dtype.name for array in model.state().values()} == {dtype}
    assert {parameter.grad.dtype.name for parameter in model.parameters()} == {dtype}


@pytest.mark.parametrize("kind", ["strided", "fortran", "frozen", "swapped", "memory-mapped", "list"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_harmless_kind_of_array_gives_the_same(backend, tmp_path, rng, kind, dtype):
    plain = rng.integers(0, 256, (5, 2, 4, 4)).astype(dtype)
    if kind == "strided":
        given = np.repeat(plain, 2, axis=3)[..., ::2]
    elif kind == "fortran":
        given = np.asfortranarray(plain)
    elif kind == "swapped":
        given = plain.astype(plain.dtype.newbyteorder(">"))
    elif kind == "memory-mapped":
        np.save(tmp_path / "x.npy", plain)
        given = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif kind == "list":
        given = list(plain)
    else:
        given = plain.copy()
        given.flags.writeable = False
    model = small()
    for use in (model.predict, model.forward):
        assert use(given).tobytes() == use(plain).tobytes()


# ---- prediction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7])
def test_predict_takes_any_number_of_images(backend, x, n):
    model = small()
    whole = model.forward(x)
    scores = model.predict(x[:n], batch_size=3)
    assert scores.shape == (n, 4)
    np.testing.assert_allclose(scores, whole[:n], rtol=1e-5, atol=1e-6)


def test_predict_is_not_training(x):
    model = small()
    before = model.state()
    model.predict(x)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(RuntimeError, match="call forward before backward"):
        model.backward(np.zeros((7, 4)))


def test_backward_gives_the_input_gradient_and_run_backward_only_those_of_parameters(x):
    model = small(dtype="float64")
    y = model.forward(x, train=True)
    dx = model.backward(np.ones_like(y))
    wanted = [parameter.grad.copy() for parameter in model.parameters()]
    assert dx.shape == x.shape
    for parameter in model.parameters():
        parameter.grad[...] = np.nan
    model.forward(x, train=True)
    model.run_backward(kernels.current().enter(np.ones_like(y)))
    for parameter, grad in zip(model.parameters(), wanted, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)
    assert model.backward(np.ones_like(y)).shape == x.shape


# ---- looking inside --------------------------------------------------------------------------------------------------


def test_activations_show_every_layer_in_order(backend, x):
    model = small()
    found = model.activations(x)
    assert [(name, array.shape) for name, array in found] == [
        ("0 Conv2D", (7, 3, 4, 4)),
        ("1 BatchNorm2D", (7, 3, 4, 4)),
        ("2 Relu", (7, 3, 4, 4)),
        ("3 MaxPool2D", (7, 3, 2, 2)),
        ("4.body Conv2D", (7, 3, 2, 2)),
        ("4 Residual", (7, 3, 2, 2)),
        ("5 Flatten", (7, 12)),
        ("6 Linear", (7, 4)),
    ]
    by_name = dict(found)
    np.testing.assert_allclose(by_name["2 Relu"], np.maximum(by_name["1 BatchNorm2D"], 0))
    np.testing.assert_allclose(by_name["4 Residual"], by_name["3 MaxPool2D"] + by_name["4.body Conv2D"], rtol=1e-6)
    np.testing.assert_allclose(by_name["6 Linear"], model.predict(x), rtol=1e-5, atol=1e-6)


def test_summary_counts_shapes_parameters_and_multiply_adds():
    lines = small().summary((2, 4, 4)).splitlines()
    assert [line.split() for line in lines if not line.startswith("-")] == [
        ["layer", "output", "sees", "parameters", "multiply-adds"],
        ["input", "2", "x", "4", "x", "4"],
        ["0", "Conv2D(2,", "3,", "3,", "padding=1)", "3", "x", "4", "x", "4", "3", "/", "1", "57", "864"],
        ["1", "BatchNorm2D(3)", "3", "x", "4", "x", "4", "3", "/", "1", "6", "0"],
        ["2", "Relu()", "3", "x", "4", "x", "4", "3", "/", "1", "0", "0"],
        ["3", "MaxPool2D(2)", "3", "x", "2", "x", "2", "4", "/", "2", "0", "0"],
        ["4.body", "Conv2D(3,", "3,", "1)", "3", "x", "2", "x", "2", "4", "/", "2", "12", "36"],
        ["4", "Residual:", "sum", "3", "x", "2", "x", "2", "4", "/", "2", "0", "0"],
        ["5", "Flatten()", "12", "0", "0"],
        ["6", "Linear(12,", "4)", "4", "52", "48"],
        ["total", "4", "127", "948"],
    ]


def test_summary_knows_the_last_inputs_shape_and_does_without(x):
    model = small()
    assert "multiply-adds" not in model.summary()
    assert model.summary().splitlines()[-1].split() == ["total", "127"]
    model.predict(x)
    assert model.summary() == model.summary((2, 4, 4))


def test_summary_shows_what_the_backend_merges(monkeypatch):
    monkeypatch.setattr(kernels.current(), "fuses", True)
    lines = small().summary((2, 4, 4)).splitlines()
    merged = {line.split()[0]: line.split()[-2:] for line in lines if "Block" in line}
    assert merged == {"1": ["NormBlock", "1-3"], "2": ["NormBlock", "1-3"], "3": ["NormBlock", "1-3"]}
    assert "runs as" in lines[0]


def test_summary_says_which_layers_are_frozen():
    model = small()
    first = next(layer for layer in model.layers if layer.parameters())
    first.freeze()
    lines = [line for line in model.summary().splitlines() if "frozen" in line]
    assert len(lines) == 1
    assert f"{first!r}, frozen" in lines[0]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"summary: input_shape must be \(C, H, W\) or \(F,\), that of one image without N, got \(\)"),
        ((5, 2, 4, 4), r"summary: input_shape must be \(C, H, W\)"),
        ("big", "summary: input_shape must be"),
        ((2, 0, 4), "summary: input_shape must be at least 1, got 0"),
        ([(2, 4, 4)], "summary: input_shape must be one shape, got"),
        (7, r"layer 0 \(Conv2D\)"),
    ],
)
def test_summary_says_what_is_wrong_with_a_shape(shape, message):
    with pytest.raises(ValueError, match=message):
        small().summary(shape)
    with pytest.raises(TypeError, match=r"summary: input_shape must be an int, got 4\.0"):
        small().summary((2, 4.0, 4))


def test_summary_of_several_inputs_says_what_is_wrong_with_their_shapes():
    a, b = minidl.Input((2, 4, 4)), minidl.Input((2, 4, 4))
    model = minidl.Model(minidl.Graph([a, b], minidl.Add()(a, b)))
    assert model.summary([[2, 4, 4], (2, 4, 4)]) == model.summary(((2, 4, 4), (2, 4, 4)))
    for shape in ((2, 4, 4), (), 3):
        with pytest.raises(ValueError, match="summary: input_shape must be"):
            model.summary(shape)
    with pytest.raises(ValueError, match="it takes 2 inputs, got 1"):
        model.summary([(2, 4, 4)])


def test_summary_names_the_layer_that_cannot_take_the_shape():
    with pytest.raises(ValueError, match=r"layer 6 \(Linear\)"):
        small().summary((2, 8, 8))


# ---- weights ---------------------------------------------------------------------------------------------------------


def test_save_and_load_give_the_same_model(backend, tmp_path, x):
    model = small(mean=[0.1, 0.2], std=0.5)
    model.forward(x, train=True)  # moves the running statistics
    model.save(tmp_path / "w.safetensors")
    other = small()
    assert other.load(tmp_path / "w.safetensors") is other
    assert other.predict(x).tobytes() == model.predict(x).tobytes()
    assert other.mean.tolist() == [0.1, 0.2]
    assert other.std.tolist() == 0.5


def test_the_safetensors_package_reads_the_file(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    model = small()
    model.save(tmp_path / "w")
    loaded = theirs.load_file(tmp_path / "w")
    assert set(loaded) == {
        "0.weight", "0.bias", "1.gamma", "1.beta", "1.running_mean", "1.running_var",
        "4.body.weight", "4.body.bias", "6.weight", "6.bias",
    }  # fmt: skip
    for name, array in model.state().items():
        np.testing.assert_array_equal(loaded[name], array)


def test_weights_of_another_program_need_no_metadata(tmp_path):
    safetensors.save(tmp_path / "w", {"0.weight": np.ones((1, 2), np.float16), "0.bias": np.ones(1, np.float32)})
    model = minidl.Model(minidl.Linear(2, 1), mean=0.5)
    model.load(tmp_path / "w")
    assert model.predict(np.ones((1, 2), np.float32)) == 3
    assert model.mean == 0.5


def test_float32_weights_load_into_a_float64_model_but_not_back(tmp_path):
    single, double = small(), small(dtype="float64")
    single.save(tmp_path / "single")
    double.load(tmp_path / "single")
    np.testing.assert_array_equal(double.parameters()[0].data, single.parameters()[0].data)
    double.save(tmp_path / "double")
    with pytest.raises(TypeError, match=r"tensor 0\.weight has dtype float64, which does not fit into float32"):
        single.load(tmp_path / "double")


def test_loading_changes_nothing_unless_everything_fits(tmp_path):
    model = small()
    state = {name: np.full_like(array, 9) for name, array in model.state().items()}
    before = model.state()
    cases = [
        ({"0.weight": None}, r"missing 0\.weight \(3, 2, 3, 3\)"),
        ({"extra.bias": np.zeros(3, np.float32)}, r"extra extra\.bias \(3,\)"),
        ({"6.bias": np.zeros(5, np.float32)}, r"6\.bias must have shape \(4,\), got \(5,\)"),
        ({"1.running_var": None, "6.bias": np.zeros(5, np.float32)}, r"missing 1\.running_var.*; 6\.bias must have"),
    ]
    for change, message in cases:
        tensors = {name: array for name, array in {**state, **change}.items() if array is not None}
        safetensors.save(tmp_path / "w", tensors)
        with pytest.raises(ValueError, match=message):
            model.load(tmp_path / "w")
    safetensors.save(tmp_path / "w", {**state, "6.bias": np.zeros(4, np.int32)})
    with pytest.raises(TypeError, match=r"tensor 6\.bias has dtype int32"):
        model.load(tmp_path / "w")
    for metadata in ({"mean": "[0.1"}, {"std": "0"}, {"std": "NaN"}, {"mean": '"a"'}):
        safetensors.save(tmp_path / "w", state, metadata)
        with pytest.raises((ValueError, TypeError), match=r"mean|std"):
            model.load(tmp_path / "w")
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])
    assert model.mean == 0


def test_state_is_a_copy_and_load_state_writes_in_place(x):
    model = small()
    data = model.parameters()[0].data
    state = model.state()
    data += 1
    model.load_state(state)
    assert model.parameters()[0].data is data
    np.testing.assert_array_equal(data, state["0.weight"])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_independent(backend, x, duplicate):
    model = small(mean=0.25)
    scores = model.predict(x)
    model.forward(x, train=False)
    other = duplicate(model)
    assert other.predict(x).tobytes() == scores.tobytes()
    assert other.mean == 0.25
    other.parameters()[0].data += 1
    assert model.predict(x).tobytes() == scores.tobytes()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 8, 15, 16, 17, 24, 33])
def test_predict_is_forward_for_any_number_of_images(n):
    model = minidl.Model(
        minidl.Conv2D(2, 3, 3, padding=1, rng=1),
        minidl.BatchNorm2D(3),
        minidl.Relu(),
        minidl.Residual(minidl.Sequential(minidl.Conv2D(3, 3, 1, rng=2), minidl.Sigmoid())),
        minidl.MaxPool2D(2),
        minidl.Dropout(0.5),
        minidl.Flatten(),
        minidl.Linear(27, 4, rng=3),
        minidl.Relu(),
        minidl.Linear(4, 5, rng=4),
    )
    x = np.random.default_rng(0).standard_normal((n, 2, 6, 6)).astype(np.float32)
    expected = model.forward(x)
    for batch_size in (1, 7, 256):
        scores = model.predict(x, batch_size)
        assert scores.shape == (n, 5)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_predict_uses_what_a_subclass_computes():
    class Doubled(minidl.Linear):
        def _forward(self, x, train):
            return super()._forward(self.kernels.add(x, x), train)

    model = minidl.Model(Doubled(3, 2, rng=1), minidl.Linear(2, 2, rng=2))
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(x), model.forward(x), rtol=1e-6)


@pytest.mark.parametrize("look", ["predict", "activations"])
def test_a_prediction_leaves_alone_what_forward_remembers(backend, x, look):
    model, other = small(dtype="float64"), small(dtype="float64")
    y = model.forward(x, train=True)
    other.forward(x, train=True)
    for images in (x[:3], x, np.zeros((2, 2, 4, 4), np.uint8)):
        getattr(model, look)(images)
    assert model.backward(y - 1).tobytes() == other.backward(y - 1).tobytes()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert one.grad.tobytes() == two.grad.tobytes()


def test_a_summary_counts_what_is_seen_through_layers_without_pixels():
    model = minidl.Model(
        minidl.Conv2D(1, 2, 3), minidl.Flatten(), minidl.Reshape((2, 4, 4)), minidl.Conv2D(2, 2, 3, stride=2)
    )
    assert re.findall(r"\d+ / \d+", str(model.summary((1, 6, 6)))) == ["3 / 1", "3 / 1", "5 / 2"]
