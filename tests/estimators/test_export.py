"""Estimators as files: ONNX that ONNX Runtime answers as they do, pickles that a new process reads."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib

from minidl.sklearn import ConvNetClassifier, ConvNetRegressor, ConvNetTransformer

TESTS = Path(__file__).parents[1]
NAMES = {"int64": "tensor(int64)", "str": "tensor(string)"}


@pytest.fixture
def outputs(tmp_path):
    """What ONNX Runtime says of X: an array for each output by its name."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")

    def run(estimator, X):
        path = tmp_path / "estimator.onnx"
        estimator.to_onnx(path)
        session = runtime.InferenceSession(path)
        assert [(each.name, each.type) for each in session.get_inputs()] == [("X", "tensor(float)")]
        assert session.get_inputs()[0].shape == ["N", *X.shape[1:]]
        names = [each.name for each in session.get_outputs()]
        run.types = [each.type for each in session.get_outputs()]
        return dict(zip(names, session.run(None, {"X": X.astype(np.float32)})))

    return run


def test_label_and_probabilities(digits, outputs):
    X, y = digits
    found = ConvNetClassifier(image_shape=(8, 8), epochs=3, random_state=0).fit(X, y)
    answer = outputs(found, X)
    assert list(answer) == ["label", "probabilities"]
    assert outputs.types == ["tensor(int64)", "tensor(float)"]
    assert (answer["label"] == found.predict(X)).all()
    np.testing.assert_allclose(answer["probabilities"], found.predict_proba(X), atol=1e-5)


def test_labels_that_are_names_and_rows_of_float64(flowers, outputs):
    X, y = flowers
    found = ConvNetClassifier(epochs=5, random_state=0).fit(X, y)
    answer = outputs(found, X)
    assert outputs.types == ["tensor(string)", "tensor(float)"]
    assert answer["label"].tolist() == found.predict(X).tolist()
    np.testing.assert_allclose(answer["probabilities"], found.predict_proba(X), atol=1e-5)
    assert found.model_.dtype == np.float64  # as it was


def test_several_labels(flowers, outputs):
    X, _ = flowers
    Y = np.stack([X[:, 0] > 5.8, X[:, 1] > 3], axis=1).astype(int)
    found = ConvNetClassifier(epochs=5, random_state=0).fit(X, Y)
    answer = outputs(found, X)
    assert (answer["label"] == found.predict(X)).all()
    np.testing.assert_allclose(answer["probabilities"], found.predict_proba(X), atol=1e-5)


def test_pixels_with_colours_last(outputs):
    rows = np.random.default_rng(0).integers(0, 256, (30, 5 * 6 * 3), np.uint8)
    found = ConvNetClassifier(image_shape=(5, 6, 3), epochs=2, random_state=0).fit(rows, np.arange(30) % 3)
    np.testing.assert_allclose(outputs(found, rows)["probabilities"], found.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("columns", [1, 2])
def test_numbers(flowers, outputs, columns):
    X, _ = flowers
    y = 100 + X[:, 0] if columns == 1 else X[:, :2] * 3
    found = ConvNetRegressor(epochs=3, random_state=0).fit(X, y)
    answer = outputs(found, X)
    assert list(answer) == ["prediction"]
    assert answer["prediction"].shape == found.predict(X).shape
    np.testing.assert_allclose(answer["prediction"], found.predict(X), rtol=1e-5)


def test_features(digits, outputs):
    X, y = digits
    found = ConvNetTransformer(epochs=1, layer=4, random_state=0).fit(X.reshape(-1, 8, 8), y)
    answer = outputs(found, X.reshape(-1, 8, 8))
    np.testing.assert_allclose(answer["features"], found.transform(X), rtol=1e-4, atol=1e-5)


READ = """
import pickle, sys, joblib, numpy as np
sys.path.append(sys.argv[2])
import global_seed
global_seed.shift()
X = np.load(sys.argv[1] + "/X.npy")
with open(sys.argv[1] + "/a.pickle", "rb") as file:
    first = pickle.load(file)
second = joblib.load(sys.argv[1] + "/a.joblib")
first.partial_fit(X, first.predict(X))
np.savez(sys.argv[1] + "/out.npz", a=first.predict_proba(X), b=second.predict_proba(X))
"""


def test_a_new_process_reads_pickles_and_goes_on_with_the_same_bits(digits, tmp_path):
    X, y = digits
    found = ConvNetClassifier(image_shape=(8, 8), random_state=0)
    found.partial_fit(X, y, classes=np.arange(10))
    np.save(tmp_path / "X.npy", X)
    (tmp_path / "a.pickle").write_bytes(pickle.dumps(found))
    joblib.dump(found, tmp_path / "a.joblib")
    command = [sys.executable, "-c", READ, str(tmp_path), str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    answer = np.load(tmp_path / "out.npz")
    assert (answer["b"] == found.predict_proba(X)).all()
    found.partial_fit(X, found.predict(X))
    assert (answer["a"] == found.predict_proba(X)).all()
