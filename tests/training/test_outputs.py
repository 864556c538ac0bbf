"""What a model says of its scores, against the loss and the targets that it meets."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import minidl

pytestmark = pytest.mark.usefixtures("plain_backend")

SEVERAL = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]], np.float32)
ONE = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]


def model(*last, k=3, **arguments):
    return minidl.Model(minidl.Linear(4, k, rng=1), *last, **arguments)


def warned(network, y, loss=None, times=1, batches=False):
    x = np.random.default_rng(0).standard_normal((len(y), 4)).astype(np.float32)
    trainer = minidl.Trainer(network, loss or minidl.SigmoidCrossEntropyLoss(), minidl.SGD(0.1))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(times):
            trainer.fit([(x, y)] if batches else (x, y), epochs=1, seed=0, verbose=False)
            trainer.evaluate((x, y))
    assert all(each.category is UserWarning for each in found)
    return [str(each.message) for each in found]


@pytest.mark.parametrize("batches", [False, True])
def test_several_classes_an_image_and_a_model_that_takes_one(batches):
    (message,) = warned(model(), SEVERAL, times=2, batches=batches)
    assert "targets have none or several of 3 classes an image" in message
    assert message.endswith("give Model(..., multi_label=True)")
    for quiet in (warned(model(multi_label=True), SEVERAL), warned(model(), ONE), warned(model(k=1), [0, 1, 1, 0])):
        assert quiet == []
    assert warned(model(), SEVERAL, minidl.MSELoss()) == []


def test_a_sigmoid_before_a_loss_that_has_its_own():
    for last in (minidl.Sigmoid(), minidl.Sequential(minidl.Sigmoid())):
        (message,) = warned(model(last, multi_label=True), SEVERAL, times=2)
        assert message.startswith("Model: the last layer is a Sigmoid, and SigmoidCrossEntropyLoss applies one itself")
        assert "leave the layer out" in message
    assert len(warned(model(minidl.Sigmoid()), SEVERAL)) == 2
    assert warned(model(minidl.Sigmoid(), minidl.Linear(3, 3, rng=2)), ONE) == []
    assert warned(model(minidl.Sigmoid()), SEVERAL, minidl.MSELoss()) == []


@pytest.mark.parametrize(
    ("k", "names", "expected", "multi_label"),
    [(3, "ab", 3, False), (3, "abcd", 3, True), (1, "abc", 2, False), (1, "abc", 2, True), (1, "a", 2, False)],
)
def test_names_of_another_number_of_classes_are_refused_at_once(k, names, expected, multi_label):
    network = model(k=k, class_names=list(names), multi_label=multi_label)
    before = network.state()
    y = SEVERAL[:, :k]
    text = f"Model: class_names must have {expected} names for {k} outputs, got {len(names)}"
    with pytest.raises(ValueError, match=text):
        warned(network, y)
    with pytest.raises(ValueError, match=text):
        network.predict_classes(np.zeros((2, 4), np.float32))
    for name, array in network.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_names_that_fit_and_names_of_a_regression():
    for k, names, multi_label in ((1, "a", True), (1, "ab", True), (1, "ab", False), (3, "abc", True)):
        y = [0, 1, 1, 0] if k == 1 else SEVERAL
        assert warned(model(k=k, class_names=list(names), multi_label=multi_label), y) == []
    assert warned(model(class_names=["a"]), SEVERAL, minidl.MSELoss()) == []


def test_a_softmax_before_a_loss_that_has_its_own():
    node = minidl.Input(4)
    graph = minidl.Graph(node, minidl.Flatten()(minidl.Softmax()(minidl.Linear(4, 3, rng=1)(node))))
    for network in (model(minidl.Softmax()), model(minidl.Sequential(minidl.Softmax())), minidl.Model(graph)):
        (message,) = warned(network, [0, 1, 2, 0], minidl.SoftmaxCrossEntropyLoss(), times=2)
        assert message.startswith("Model: the last layer is a Softmax, and SoftmaxCrossEntropyLoss applies one itself")
    assert warned(model(minidl.LogSoftmax()), [0, 1, 2, 0], minidl.SoftmaxCrossEntropyLoss()) == []
    assert warned(model(minidl.Softmax()), ONE, minidl.MSELoss()) == []


def test_each_output_is_held_against_its_own_loss():
    node = minidl.Input(4)
    scores = minidl.Linear(4, 3, rng=1)(node)
    losses = minidl.MultiLoss([minidl.MSELoss(), minidl.SoftmaxCrossEntropyLoss()])
    x = np.ones((4, 4), np.float32)
    for heads, count in (((minidl.Softmax(), minidl.Relu()), 0), ((minidl.Relu(), minidl.Softmax()), 1)):
        network = minidl.Model(minidl.Graph(node, [head(scores) for head in heads]))
        trainer = minidl.Trainer(network, losses, minidl.SGD(0.1))
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            trainer.fit((x, [ONE, np.array([0, 1, 2, 0])]), epochs=1, seed=0, verbose=False)
        assert len(found) == count
