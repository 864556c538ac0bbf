"""What comes in as X: checked by scikit-learn's rules, dense, of a dtype that a network takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from minidl.sklearn.layout import Layout, flattened
from minidl.support.several import Shape

DTYPES = [np.float64, np.float32, np.uint8]
"""dtypes that X may keep while it is checked; others become the first."""
SPARSE = ["csr", "csc"]
AT_ONCE = 4096
"""Rows that are converted to float64 at a time."""


def rows_and_targets(estimator: Any, X: Any, y: Any, reset: bool, numbers: bool) -> tuple[np.ndarray, Any, Shape]:
    """X as rows (N, F) of one of `DTYPES`, y as it is, and the shape that one of X's rows had.

    y None: there are no targets. reset: whether `n_features_in_` and `feature_names_in_` are set, or else compared.
    numbers: whether y must be numbers. Raises as scikit-learn does.
    """
    X, given = flattened(X)
    options: dict[str, Any] = {"dtype": DTYPES, "accept_sparse": SPARSE, "reset": reset}
    if y is None:  # which scikit-learn refuses where the estimator's tags say so
        X = validate_data(estimator, X, y=None, **options)
    else:
        X, y = validate_data(estimator, X, y, multi_output=True, y_numeric=numbers, **options)
        y = y.toarray() if hasattr(y, "toarray") else y
    return dense(X), y, (X.shape[1],) if given is None else given


def rows(estimator: Any, X: Any, layout: Layout) -> Any:
    """X of a prediction, checked against what `fit` saw; as it is, dense or sparse."""
    X, given = flattened(X)
    X = validate_data(estimator, X, dtype=DTYPES, accept_sparse=SPARSE, reset=False)
    layout.check(type(estimator).__name__, given)
    return X


def dense(X: Any) -> np.ndarray:
    """X as an array of its dtype."""
    return X.toarray() if hasattr(X, "toarray") else X


def weights(X: np.ndarray, sample_weight: Any) -> np.ndarray | None:
    """Weights (N,) of the rows, at least 0, one of them more; None for none."""
    if sample_weight is None:
        return None
    found = np.array(_check_sample_weight(sample_weight, X, dtype=np.float64))
    if (found < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`")
    if not found.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return found


def spread(
    values: np.ndarray, axes: tuple[int, ...], weight: np.ndarray | None, least: float = 1e-12
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over some axes, rows weighted, in float64; a deviation of 0 counts as 1.

    values: (N, ...). axes: begin with 0. weight: (N,), or None for equal ones. least: a deviation of so many times the
    mean, or less, is rounding, and counts as 0. Some rows at a time are converted.
    """
    shares = np.ones(len(values)) if weight is None else weight / weight.max()
    shares = (shares / shares.sum() / np.prod([values.shape[axis] for axis in axes[1:]])).reshape(
        -1, *(1,) * (values.ndim - 1)
    )

    def total(function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        parts = [slice(start, start + AT_ONCE) for start in range(0, len(values), AT_ONCE)]
        floats = (values[part].astype(np.float64, order="C") for part in parts)  # one order of sums for any layout
        sums = [(shares[part] * function(x)).sum(axes, keepdims=True) for part, x in zip(parts, floats)]
        return np.sum(sums, axis=0)

    with np.errstate(over="ignore"):  # such numbers are refused later
        mean = total(lambda x: x)
        std = np.sqrt(total(lambda x: (x - mean) ** 2))
    std[std <= least * np.abs(mean)] = 1
    return mean.ravel(), std.ravel()
