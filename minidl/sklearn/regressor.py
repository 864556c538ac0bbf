"""A network that predicts numbers, as scikit-learn's regressor."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from minidl.sklearn import export
from minidl.sklearn.base import ConvNet
from minidl.sklearn.targets import Target, number_target


class ConvNetRegressor(RegressorMixin, ConvNet):
    """A convolutional network, or a perceptron for rows that are no images, that predicts numbers.

    It is trained on (y - mean) / std of the first fit's y, a column at a time, by the mean squared error; `loss_curve_`
    and `history_` are in that unit. All parameters and attributes but class_weight and classes_: see
    `ConvNetClassifier`. `model_` gives the numbers in y's unit. `score` is R^2.
    """

    _numeric = True

    def __sklearn_tags__(self) -> Any:
        """Several numbers a row are taken, too."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _new_target(self, y: Any, weight: np.ndarray | None, classes: Any) -> tuple[Target, np.ndarray]:
        return number_target(y, weight)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ConvNetRegressor:
        """Train from the beginning, or with `warm_start` go on with the network of the last fit; returns self.

        X: as in `ConvNetClassifier.fit`. y: a number for each row, (N,), or several, (N, F). sample_weight: (N,), at
        least 0; a row of weight 0 is left out. Raises ValueError or TypeError that names what does not fit.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> ConvNetRegressor:
        """One pass over these rows with a constant rate, in a network that the first call makes; returns self.

        The first call's rows decide how X and y are standardised. Raises as `fit`.
        """
        return self._fit(X, y, sample_weight, partial=True)

    def predict(self, X: Any) -> np.ndarray:
        """The numbers, (N,) or (N, F)."""
        scores = self._scores(X)
        return self._target.decode(scores)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write an ONNX file that takes X as float32 and gives "prediction", (N,) or (N, F); extra `onnx`.

        path: a file's name. X has the shape of fit's rows, its first size is "N". Raises as `minidl.onnx.save`.
        """
        check_is_fitted(self, "model_")
        export.save(path, self._network(), self._layout.given, self._target)
