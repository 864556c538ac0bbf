"""ConvNetClassifier: what it learns, of which kinds of X and y, and how it goes on."""

from __future__ import annotations

import signal

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss

import minidl
from minidl.sklearn import ConvNetClassifier


def equal(a, b):
    """Whether two estimators' networks have the same bits."""
    states = a.model_.state(), b.model_.state()
    return states[0].keys() == states[1].keys() and all((states[0][k] == states[1][k]).all() for k in states[0])


def test_images_among_rows_are_learnt(digits):
    X, y = digits
    found = ConvNetClassifier(image_shape=(8, 8), epochs=15, random_state=0).fit(X[:300], y[:300])
    assert found.score(X[300:], y[300:]) > 0.93
    assert found.n_features_in_ == 64
    assert found.classes_.tolist() == list(range(10))
    assert found.n_iter_ == len(found.loss_curve_) == found.history_.epochs == 15
    assert found.loss_curve_[-1] < 0.1 < found.loss_curve_[0]
    assert found.model_.layers[0].name == "standardize"
    assert found.model_.dtype == np.float32
    assert found.model_.predict_classes(X[300:].reshape(-1, 1, 8, 8).astype("f4")).tolist() == [
        str(k) for k in found.predict(X[300:])
    ]


def test_images_come_in_many_forms_with_the_same_bits(digits):
    X, y = digits
    make = ConvNetClassifier(epochs=1, random_state=0)
    rows = clone(make).set_params(image_shape=(1, 8, 8)).fit(X, y)
    for shape in ((-1, 8, 8), (-1, 1, 8, 8)):
        images = clone(make).fit(X.reshape(shape), y)
        assert equal(rows, images)
        assert (images.predict_proba(X.reshape(shape)) == rows.predict_proba(X)).all()
        assert (images.predict(X) == rows.predict(X)).all()  # rows with as many numbers


def test_pixels_and_their_order(digits):
    colors = np.random.default_rng(0).integers(0, 256, (40, 5, 6, 3), np.uint8)
    y = np.arange(40) % 2
    last = ConvNetClassifier(image_shape=(5, 6, 3), epochs=2, random_state=0).fit(colors.reshape(40, -1), y)
    first = ConvNetClassifier(epochs=2, random_state=0).fit(colors.transpose(0, 3, 1, 2), y)
    assert equal(last, first)
    pixels = colors.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(first.model_.mean, pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(first.model_.std, pixels.std((0, 2, 3)), rtol=1e-6)
    floats = first.predict_proba(colors.transpose(0, 3, 1, 2).astype(float))
    np.testing.assert_allclose(floats, first.predict_proba(colors.transpose(0, 3, 1, 2)), atol=1e-6)


def test_channels_that_come_last_are_told_apart():
    colors = np.random.default_rng(0).integers(0, 256, (20, 5, 6, 3), np.uint8)
    y, make = np.arange(20) % 2, ConvNetClassifier(epochs=1, random_state=0)
    last = clone(make).set_params(image_shape=(5, 6, 3)).fit(colors, y)
    assert equal(last, clone(make).fit(colors.transpose(0, 3, 1, 2), y))
    with pytest.warns(UserWarning, match=r"5 channels of 6 x 3; if channels come last, say image_shape=\(5, 6, 3\)"):
        clone(make).fit(colors, y)
    maps = clone(make).set_params(image_shape=(5, 3, 3)).fit(np.ones((20, 45)), y)
    assert maps.model_.output_shape((5, 3, 3)) == (2,)


def test_images_of_another_shape_are_refused(digits):
    colors = np.random.default_rng(0).integers(0, 256, (20, 3, 5, 6), np.uint8)
    y = np.arange(20) % 2
    found = ConvNetClassifier(epochs=1, warm_start=True).fit(colors, y)
    rule = r"images of X must have shape \(3, 5, 6\), as in the first fit, got \(5, 6, 3\)"
    for method in (found.predict, lambda X: found.fit(X, y), lambda X: found.partial_fit(X, y)):
        with pytest.raises(ValueError, match=rule):
            method(colors.transpose(0, 2, 3, 1))
    gray = ConvNetClassifier(epochs=1).fit(digits[0].reshape(-1, 4, 16), digits[1])
    with pytest.raises(ValueError, match=r"got \(16, 4\)"):
        gray.predict(digits[0].reshape(-1, 16, 4))


def test_sparse_rows_and_frames_are_as_dense_ones(flowers):
    pandas = pytest.importorskip("pandas")
    X, y = flowers
    dense = ConvNetClassifier(epochs=2, random_state=0).fit(X, y)
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        assert equal(dense, ConvNetClassifier(epochs=2, random_state=0).fit(kind(X), y))
        np.testing.assert_allclose(dense.predict_proba(kind(X)), dense.predict_proba(X), rtol=1e-12)
    frame = pandas.DataFrame(X, columns=list("abcd"))
    named = ConvNetClassifier(epochs=2, random_state=0).fit(frame, y)
    assert equal(dense, named)
    assert named.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        named.predict(frame[list("badc")])


def test_rows_are_computed_with_in_their_precision(flowers):
    X, y = flowers
    wide = ConvNetClassifier(epochs=1, random_state=0).fit(X, y)
    narrow = ConvNetClassifier(epochs=1, random_state=0).fit(X.astype("f4"), y)
    np.testing.assert_allclose(narrow.predict_proba(X).sum(axis=1), 1, rtol=1e-14)
    assert (wide.model_.dtype, narrow.model_.dtype) == (np.float64, np.float32)
    assert wide.predict_proba(X).dtype == narrow.predict_proba(X).dtype == np.float64


def test_probabilities_go_together(flowers):
    X, y = flowers
    found = ConvNetClassifier(epochs=20, random_state=0).fit(X, y)
    p = found.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(found.predict_log_proba(X), np.log(p), rtol=1e-9, atol=1e-12)
    scores = found.decision_function(X)
    np.testing.assert_allclose(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), p, rtol=1e-9)
    assert (found.classes_[p.argmax(axis=1)] == found.predict(X)).all()
    assert log_loss(y, p) < 0.3


def test_two_classes_have_one_score(flowers):
    X, y = flowers[0][:100], flowers[1][:100]
    found = ConvNetClassifier(epochs=10, random_state=0).fit(X, y)
    scores, p = found.decision_function(X), found.predict_proba(X)
    assert scores.shape == (100,)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-scores)), rtol=1e-9)
    assert (found.predict(X) == found.classes_[(scores > 0).astype(int)]).all()


def test_several_labels(digits):
    X, y = digits
    Y = np.stack([y % 2 == 0, y > 4, np.isin(y, (0, 6, 8, 9))], axis=1).astype(int)
    found = ConvNetClassifier(image_shape=(8, 8), epochs=15, random_state=0).fit(X, Y)
    assert found.predict(X).dtype == np.int64
    assert (found.predict(X) == Y).mean() > 0.97
    p = found.predict_proba(X)
    assert p.shape == found.decision_function(X).shape == (400, 3)
    assert (found.predict(X) == (p > 0.5)).all()
    np.testing.assert_allclose(found.predict_log_proba(X), np.log(p), rtol=1e-3, atol=1e-5)
    assert found.model_.multi_label
    assert (clone(found).fit(X, sparse.csr_array(Y)).predict(X) == found.predict(X)).all()
    with pytest.raises(ValueError, match=r"y must be 0 or 1 for each of several labels, got \[-1, 1\]"):
        clone(found).fit(X, 2 * Y - 1)
    with pytest.raises(ValueError, match=r"y must have 3 labels, as in the first fit, got shape \(400,\)"):
        found.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"y must have one class a row, as in the first fit, got labels of shape"):
        ConvNetClassifier(epochs=1, warm_start=True).fit(X, y).fit(X, Y)


@pytest.mark.parametrize("factor", [0, -1, np.nan])
def test_weights_of_classes_leave_something_to_learn(flowers, factor):
    X, y = flowers
    found = ConvNetClassifier(class_weight=dict.fromkeys(np.unique(y).tolist(), factor), epochs=1)
    with pytest.raises(ValueError, match="class_weight must be numbers of at least 0, and above 0 for one"):
        found.fit(X, y)


def test_a_fit_that_fails_leaves_no_network(flowers):
    X, y = flowers
    found = ConvNetClassifier(random_state=0)
    with pytest.raises(ValueError, match=r"got \['virginica'\]"):
        found.partial_fit(X, y, classes=["setosa", "versicolor"])
    with pytest.raises(NotFittedError):
        found.predict(X)
    assert found.partial_fit(X, y, classes=np.unique(y)).n_iter_ == 1
    with pytest.raises(ValueError, match=r"got \['rosa'\]"):  # what has been learnt stays
        found.partial_fit(X[:1], ["rosa"])
    assert found.predict(X).shape == (150,)


def test_weights_are_repetitions_and_zero_is_absence(flowers):
    """In batches of all rows; scikit-learn's check has fifteen."""
    X, y = flowers
    w = np.random.default_rng(0).integers(0, 3, 150)
    options = {"epochs": 5, "batch_size": 1000, "random_state": 0}
    weighted = ConvNetClassifier(**options).fit(X, y, sample_weight=w)
    repeated = ConvNetClassifier(**options).fit(X.repeat(w, 0), y.repeat(w))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)
    absent = (w > 0) & (y != "virginica")
    assert ConvNetClassifier(**options).fit(X, y, sample_weight=absent * 1.0).classes_.tolist() == [
        "setosa",
        "versicolor",
    ]


def linear(shape, outputs):
    """What takes its input as it is: weights of rows count in a standardisation, those of classes do not."""
    return minidl.Model(minidl.Linear(*shape, outputs))


def test_weights_of_classes(flowers):
    X, y = flowers
    options = {"network": linear, "epochs": 5, "random_state": 0}
    given = ConvNetClassifier(class_weight={"setosa": 1, "versicolor": 2, "virginica": 4}, **options).fit(X, y)
    w = np.repeat([1.0, 2.0, 4.0], 50)
    assert equal(given, ConvNetClassifier(**options).fit(X, y, sample_weight=w))
    assert not equal(given, ConvNetClassifier(**options).fit(X, y))
    balanced = ConvNetClassifier(class_weight="balanced", **options)
    assert equal(balanced.fit(X, y), ConvNetClassifier(**options).fit(X, y))  # as many of each
    part = slice(20, None)
    w = 130 / 3 / np.repeat([30, 50, 50], [30, 50, 50])
    assert equal(balanced.fit(X[part], y[part]), ConvNetClassifier(**options).fit(X[part], y[part], w))


def test_the_same_seed_gives_the_same_bits_for_any_threads_and_disturbs_nobody(digits):
    X, y = digits

    def network(shape, outputs):
        return minidl.Model(minidl.Flatten(), minidl.Dropout(0.3), minidl.Linear(64, outputs))

    for kind in (None, "mlp", network):
        make = ConvNetClassifier(kind, image_shape=(8, 8), epochs=2, random_state=3)
        first, second = clone(make).fit(X, y), clone(make).set_params(n_threads=1).fit(X, y)
        assert equal(first, second)
        assert first.loss_curve_ == second.loss_curve_
        assert not equal(first, clone(make).set_params(random_state=4).fit(X, y))
    minidl.seed(0)
    expected = minidl.support.random.generator().random()
    minidl.seed(0)
    clone(make).fit(X, y)
    assert minidl.support.random.generator().random() == expected


def test_early_stopping_keeps_the_best_epoch(digits):
    X, y = digits
    noise = np.random.default_rng(0).permutation(y)  # nothing to learn
    make = ConvNetClassifier(
        "mlp", epochs=50, early_stopping=True, n_iter_no_change=3, validation_fraction=0.25, random_state=0
    )
    found = make.fit(X, noise)
    losses = found.history_["val_loss"]
    assert found.n_iter_ < 50
    assert int(np.argmin(losses)) == found.n_iter_ - 4
    stopper = found.callbacks_[-1]
    assert stopper.best_value == min(losses)


def test_ctrl_c_ends_a_training_and_the_warning_names_the_caller(flowers):
    class Stop(minidl.training.callbacks.Callback):
        def on_epoch_end(self, trainer, logs):
            signal.raise_signal(signal.SIGINT)

    found = ConvNetClassifier(epochs=5, callbacks=Stop())
    with pytest.warns(UserWarning, match="Training interrupted by user") as warned:
        found.fit(*flowers)
    assert [warning.filename for warning in warned] == [__file__]
    assert found.n_iter_ == 1
    assert found.predict(flowers[0]).shape == (150,)


def test_partial_fit_goes_on(flowers):
    X, y = flowers
    found = ConvNetClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        found.partial_fit(X[:50], y[:50])
    order = np.random.default_rng(0).permutation(150)
    classes = np.unique(y)
    for number in range(40):
        found.partial_fit(X[order], y[order], classes if number == 0 else None)
    assert found.n_iter_ == 40
    assert found.score(X, y) > 0.93
    assert found.partial_fit(X[:3], y[:3]).n_iter_ == 41  # one class of three
    with pytest.raises(ValueError, match=r"only the classes of the first fit.*\['lily'\]"):
        found.partial_fit(X[:3], ["lily", "lily", "setosa"])
    with pytest.raises(ValueError, match="those of the first call"):
        found.partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(ValueError, match="early_stopping"):
        ConvNetClassifier(early_stopping=True).partial_fit(X, y, classes)
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        ConvNetClassifier(class_weight="balanced").partial_fit(X, y, classes)


def test_warm_start_goes_on_where_the_weights_are(flowers):
    X, y = flowers
    found = ConvNetClassifier(epochs=10, warm_start=True, random_state=0).fit(X, y)
    before = found.loss_curve_[-1]
    model = found.model_
    found.set_params(lr=1e-4).fit(X, y)
    assert found.model_ is model
    assert found.loss_curve_[0] < before * 1.2
    assert found.n_iter_ == 10
    with pytest.raises(ValueError, match="only the classes of the first fit"):
        found.fit(X, np.where(y == "setosa", "lily", y))


@pytest.mark.parametrize("name", ["seed", "vgg", "cnn", "lenet5", "mobilenet_v3_small"])
def test_networks_by_name(digits, name):
    size = 8 if name in ("seed", "vgg", "cnn") else 32
    x = np.kron(digits[0][:12].reshape(-1, 8, 8), np.ones((size // 8, size // 8)))
    x = x[:, 2:30, 2:30] if name == "lenet5" else x
    found = ConvNetClassifier(name, epochs=1, random_state=0).fit(x, digits[1][:12])
    assert found.predict_proba(x).shape == (12, 10)


def test_networks_of_one_s_own(digits):
    X, y = digits
    asked = []

    def network(shape, outputs):
        asked.append((shape, outputs))
        return minidl.Model(
            minidl.BatchNorm2D(1), minidl.Flatten(), minidl.Linear(64, outputs, name="answer"), mean=0.5, std=0.2
        )

    found = ConvNetClassifier(network, image_shape=(8, 8), epochs=5, random_state=0).fit(X, y)
    assert asked == [((1, 8, 8), 10)]
    assert [layer.name for layer in found.model_.layers] == ["BatchNorm2D", "Flatten", "answer"]
    assert float(found.model_.mean) == 0.5
    assert found.score(X, y) > 0.8


def test_optimizers_schedules_and_callbacks(digits):
    X, y = digits
    seen = []

    class Steps(minidl.Callback):
        def on_fit_begin(self, trainer):
            seen.append((type(trainer.optimizer).__name__, trainer.optimizer.weight_decay))

    steps = Steps()
    for options in (
        {"optimizer": "adam"},
        {"optimizer": "sgd", "schedule": "constant"},
        {"optimizer": "rmsprop", "schedule": "cosine", "weight_decay": 0.5},
        {"optimizer": minidl.Adam, "lr": 0.003},
        {"schedule": lambda epoch, epochs: 0.01 * (1 - epoch / epochs)},
        {"augment": (minidl.data.Shift(1),)},
    ):
        found = ConvNetClassifier(image_shape=(8, 8), epochs=3, random_state=0, callbacks=steps, **options).fit(X, y)
        assert found.loss_curve_[-1] < found.loss_curve_[0]
        assert found.callbacks_[0] is not steps
    kinds = ["Adam", "SGD", "RMSProp", "Adam", "AdamW", "AdamW"]
    assert seen == list(zip(kinds, [1e-4, 1e-4, 0.5, 0.0, 0.1, 0.1]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"network": "nothing"}, ValueError, "network must be None, a function .* or one of mlp, cnn.*got 'nothing'"),
        ({"network": "vgg"}, ValueError, "network 'vgg' is for images: say image_shape"),
        ({"network": lambda shape, outputs: 3}, TypeError, "network must return a minidl.Model, got int"),
        ({"network": lambda shape, outputs: minidl.Model(minidl.Linear(4, 7))}, ValueError, "give 3 numbers.*7"),
        ({"network": minidl.Model(minidl.Linear(4, 3))}, ValueError, "network must be None, a function .*got Model"),
        (
            {"network": "seed", "image_shape": (2, 2)},
            ValueError,
            r"network 'seed' does not take .* \(1, 2, 2\): Linear",
        ),
        ({"network": "lenet5", "image_shape": (2, 2)}, ValueError, "network 'lenet5' does not take .*: layer 3 "),
        ({"image_shape": (2, 3)}, ValueError, r"image_shape \(2, 3\) must have as many numbers as a row of X, got 4"),
        ({"image_shape": 4}, TypeError, "image_shape must be None"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"lr": -1}, ValueError, "lr must be positive, got -1"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be at least 0"),
        ({"optimizer": "best"}, ValueError, "optimizer must be a function or one of adamw"),
        ({"schedule": "soon"}, ValueError, "schedule must be a function or one of constant"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
        ({"callbacks": 3}, TypeError, "callbacks must be None, a minidl.Callback"),
        ({"early_stopping": True, "validation_fraction": 1.5}, ValueError, "validation_fraction must be above 0"),
        ({"early_stopping": "no"}, TypeError, "early_stopping must be True or False, got 'no'"),
        ({"warm_start": 1}, TypeError, "warm_start must be True or False, got 1"),
        ({"early_stopping": True, "n_iter_no_change": None}, TypeError, "n_iter_no_change must be an int, got None"),
        ({"early_stopping": True, "n_iter_no_change": 0}, ValueError, "n_iter_no_change must be at least 1"),
    ],
)
def test_arguments_that_cannot_be_are_named(flowers, options, error, message):
    with pytest.raises(error, match=message):
        ConvNetClassifier(**options).fit(*flowers)


def test_one_class_alone_and_strange_targets_are_refused(flowers):
    X, _ = flowers
    with pytest.raises(ValueError, match="two classes or more, got 1 class"):
        ConvNetClassifier().fit(X, np.zeros(150))
    with pytest.raises(ValueError, match="multiclass-multioutput"):
        ConvNetClassifier().fit(X, np.arange(300).reshape(150, 2) % 7)
    with pytest.raises(NotFittedError):
        ConvNetClassifier().predict(X)
    with pytest.raises(ValueError, match="too large for dtype"):
        ConvNetClassifier(image_shape=(2, 2)).fit(X * 1e300, np.arange(150) % 2)


def test_a_diagram_in_notebooks():
    found = ConvNetClassifier("vgg", image_shape=(8, 8))
    assert "ConvNetClassifier" in found._repr_html_()
    assert repr(found) == "ConvNetClassifier(image_shape=(8, 8), network='vgg')"
