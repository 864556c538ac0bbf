"""Few images and rows that every test of the estimators shares."""

from __future__ import annotations

import numpy as np
import pytest

import minidl


@pytest.fixture
def digits():
    """400 digits of 8 x 8 as rows of floats, and their labels."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    return X[:400], y[:400]


@pytest.fixture
def flowers():
    """The iris rows, and the names of their kinds."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_iris(return_X_y=True)
    return X, np.array(["setosa", "versicolor", "virginica"])[y]


@pytest.fixture(autouse=True)
def _the_same_threads_afterwards():
    before = minidl.get_num_threads()
    yield
    assert minidl.get_num_threads() == before
