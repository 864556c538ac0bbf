"""Probabilities and classes out of scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl

pytestmark = pytest.mark.usefixtures("plain_backend")


def fixed(*layers: minidl.Layer, k: int = 3, **arguments: Any) -> minidl.Model:
    """A network whose scores are its input."""
    linear = minidl.Linear(k, k, bias=False)
    linear.weight.data[...] = np.eye(k)
    return minidl.Model(linear, *layers, **arguments)


X = np.array([[0.0, np.log(2), np.log(3)], [1000.0, -1000.0, 0.0]], np.float32)


def test_softmax() -> None:
    expected = [[1 / 6, 2 / 6, 3 / 6], [1, 0, 0]]
    found = fixed().predict_proba(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(fixed()(X), X)
    assert fixed().predict_proba(X[:0]).shape == (0, 3)


def test_one_score_is_that_of_the_second_class() -> None:
    x = np.array([[0.0], [np.log(3)], [-1000.0], [1000.0]], np.float32)
    np.testing.assert_allclose(fixed(k=1).predict_proba(x), [[0.5], [0.75], [0.0], [1.0]], rtol=1e-6)
    assert fixed(k=1).predict_classes(x).tolist() == [0, 1, 0, 1]
    assert fixed(k=1, class_names=["cat", "dog"]).predict_classes(x).tolist() == ["cat", "dog", "cat", "dog"]


def test_multi_label() -> None:
    model = fixed(multi_label=True, class_names=["a", "b", "c"])
    np.testing.assert_allclose(model.predict_proba(X), [[1 / 2, 2 / 3, 3 / 4], [1, 0, 1 / 2]], rtol=1e-6)
    assert model.predict_classes(X).tolist() == [[False, True, True], [True, False, False]]


def test_a_network_that_ends_with_a_sigmoid_gives_probabilities() -> None:
    for model in (fixed(minidl.Sigmoid()), fixed(minidl.Sequential(minidl.Sigmoid()))):
        np.testing.assert_array_equal(model.predict_proba(X), model.predict(X))
    assert fixed(minidl.Sigmoid(), k=1).predict_classes(np.array([[0.1], [-0.1]], np.float32)).tolist() == [1, 0]


def test_lengths_of_capsules_are_probabilities() -> None:
    model = minidl.CapsuleNetwork(
        minidl.PrimaryCapsules(2),
        minidl.Capsules(9, 2, 3, 2, rng=1),
        decoder=minidl.Linear(6, 18),
        class_names=list("abc"),
    )
    x = np.random.default_rng(0).random((4, 2, 3, 3), np.float32)
    np.testing.assert_array_equal(model.predict_proba(x), model.predict(x))
    assert model.predict_classes(x).tolist() == [list("abc")[i] for i in model.predict(x).argmax(axis=1)]


def test_classes() -> None:
    assert fixed().predict_classes(X).tolist() == [2, 0]
    assert fixed().predict_classes(X).dtype.kind == "i"
    model = fixed(class_names=np.array(["cat", "dog", "Ä"]))
    assert model.class_names == ("cat", "dog", "Ä")
    assert model.predict_classes(X).tolist() == ["Ä", "cat"]
    assert model.predict_classes(np.zeros((1, 3), np.float32)).tolist() == ["cat"]
    assert repr(model).endswith("class_names=['cat', 'dog', 'Ä'])")


@pytest.mark.parametrize(
    ("class_names", "error", "message"),
    [
        ("abc", TypeError, "Model: class_names must be a list of names, got 'abc'"),
        ([], TypeError, "class_names must be a list of names"),
        ([1, 2, 3], TypeError, "class_names must be a list of names"),
        (["a", "b", "a"], ValueError, "class_names must have different names, got 'a' twice"),
    ],
)
def test_bad_names(class_names: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fixed(class_names=class_names)


def test_as_many_names_as_classes() -> None:
    with pytest.raises(ValueError, match="class_names must have 3 names for 3 outputs, got 2"):
        fixed(class_names=["a", "b"]).predict_classes(X)
    with pytest.raises(ValueError, match="class_names must have 2 names for 1 outputs, got 1"):
        fixed(k=1, class_names=["a"]).predict_classes(X[:, :1])


@pytest.mark.parametrize("multi_label", [False, True])
def test_scores_that_are_nan_are_told_by_their_first_row(multi_label: bool) -> None:
    model = fixed(multi_label=multi_label)
    x = np.array([[0, 1, 0], [0, 0, np.nan], [1, 0, 0], [np.nan, 0, 0]], np.float32)
    text = "Model: the scores are NaN in 2 of 4 rows, the first is row 1, so no class"
    with pytest.warns(UserWarning, match=text) as found:
        classes = model.predict_classes(x)
    assert [each.filename for each in found] == [__file__]
    assert classes[[0, 2]].tolist() == ([[False, True, False], [True, False, False]] if multi_label else [1, 0])
    assert not multi_label or not classes[[1, 3]].any()
    model = minidl.Model(minidl.Flatten(), minidl.Linear(4, 2, rng=0))
    with pytest.warns(UserWarning, match="Model: the scores are NaN, so no class"):
        model.predict_classes(np.full((1, 2, 2), np.nan, np.float32))


def _ends(*last, k=3, **arguments):
    """The same last layers in a list, in a list of lists, in a graph, in a graph inside a list, before a shape."""
    linear = minidl.Linear(4, k, rng=1)
    node = minidl.Input(4)
    value = linear(node)
    for layer in last:
        value = layer(value)
    graph = minidl.Graph(node, value)
    yield minidl.Model(linear, *last, **arguments)
    yield minidl.Model(linear, minidl.Sequential(minidl.Sequential(*last)), **arguments)
    yield minidl.Model(graph, **arguments)
    yield minidl.Model(minidl.Sequential(graph), minidl.Reshape((k, 1, 1)), minidl.Flatten(), **arguments)
    yield minidl.Model(graph, minidl.Dropout(0.5), **arguments)


@pytest.mark.parametrize("k", [1, 3, 4])
@pytest.mark.parametrize("kind", ["Sigmoid", "Softmax", "LogSoftmax"])
@pytest.mark.usefixtures("any_backend")
def test_scores_that_are_probabilities_stay_so_in_a_network_of_any_form(kind, k):
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    for network in _ends(getattr(minidl, kind)(), k=k, multi_label=True):
        scores = network.predict(x)
        expected = np.exp(scores) if kind == "LogSoftmax" else scores
        np.testing.assert_array_equal(network.predict_proba(x), expected)
        np.testing.assert_allclose(network.predict_proba(x[:1]), expected[:1], 1e-6)
        assert network.endings() == [kind]


def test_layers_before_the_last_one_do_not_count():
    x = np.ones((2, 4), np.float32)
    for network in _ends(minidl.Softmax(), minidl.Relu()):
        scores = network.predict(x)
        np.testing.assert_allclose(network.predict_proba(x), np.exp(scores) / np.exp(scores).sum(1)[:, None], 1e-6)
        assert network.endings() == [""]
    assert minidl.Model(minidl.Flatten()).endings() == [""]
    assert minidl.Model().endings() == [""]


def test_each_output_ends_for_itself():
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    node = minidl.Input(4)
    value = minidl.Linear(4, 3, rng=1)(node)
    heads = [minidl.Sigmoid()(value), minidl.LogSoftmax()(value), value, minidl.Softmax()(value)]
    network = minidl.Model(minidl.Graph(node, heads))
    gates, logs, scores, shares = network.predict(x)
    found = network.predict_proba(x)
    softmax = np.exp(scores) / np.exp(scores).sum(1)[:, None]
    np.testing.assert_array_equal(found[0], gates)
    np.testing.assert_array_equal(found[1], np.exp(logs))
    np.testing.assert_allclose(found[2], softmax, 1e-5)
    np.testing.assert_array_equal(found[3], shares)
    assert network.endings() == ["Sigmoid", "LogSoftmax", "", "Softmax"]
    assert not network.ends_with_sigmoid()
