"""A network that classifies, as scikit-learn's classifier."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from minidl.sklearn import export
from minidl.sklearn.base import ConvNet
from minidl.sklearn.targets import Target, class_target


class ConvNetClassifier(ClassifierMixin, ConvNet):
    """A convolutional network, or a perceptron for rows that are no images, that predicts classes or labels.

    network: None for a small CNN for images and a perceptron with 100 hidden units for rows; "mlp", "cnn", "seed",
    "vgg" or a name of `minidl.networks`; or a function (shape, outputs) -> `minidl.Model`, shape (F,) or (C, H, W),
    for instance one that loads a trained network. The function's network gets X as it is; for the others the numbers
    are standardised, each column or each channel, by the mean and deviation of the first fit's rows.
    image_shape: (H, W), (C, H, W) or (H, W, C) of rows (N, F) that are images; None for rows as they come.
    epochs: passes over the rows; None for 5 to 60 for networks of images and 20 to 300 for a perceptron, fewer for many
    rows (`minidl.sklearn.networks.Habits`). batch_size: rows a step; None for 32, or 128 for a perceptron that
    classifies and from 10,000 rows on.
    lr: the largest learning rate; None for what suits the optimiser. optimizer: "adamw", "adam", "sgd" (Nesterov
    momentum 0.9), "rmsprop", or a function of lr and weight_decay such as `minidl.Adam`. schedule: "onecycle",
    "cosine", "constant" or a function (epoch, epochs) -> rate. weight_decay: None for what suits the network.
    augment: how training images are changed at random, as `minidl.Trainer.fit` takes it; None for not at all.
    early_stopping: whether `validation_fraction` of the rows are kept aside, and the training ends when the loss of
    those has not improved for `n_iter_no_change` epochs; the weights are then those of the best epoch.
    class_weight: None, "balanced" or {class: weight}, multiplied into the rows' weights; for labels as
    `sklearn.utils.class_weight.compute_sample_weight` takes it. Losses of a batch are sum(w l) / sum(w).
    n_threads: at most so many threads; None for as many as the process may use. Results do not depend on it.
    verbose: whether a line an epoch is printed. warm_start: whether `fit` goes on with the last network, a new
    optimiser and schedule, and the same classes. random_state: an int, a RandomState or None; the same int gives the
    same bits. callbacks: `minidl.Callback`s, one or a list; each fit uses copies.

    Attributes: classes_ (of labels their numbers), n_features_in_, feature_names_in_ (where X has names), model_ (a
    `minidl.Model` of rows or images as they came), history_ (`minidl.History` of the last fit), loss_curve_ (a loss an
    epoch), n_iter_ (epochs), callbacks_ (those copies). Rows of float64 are computed in float64, images in float32.
    """

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        optimizer: Any = "adamw",
        schedule: Any = "onecycle",
        weight_decay: float | None = None,
        augment: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        class_weight: Any = None,
        n_threads: int | None = None,
        verbose: bool = False,
        warm_start: bool = False,
        random_state: Any = None,
        callbacks: Any = None,
    ) -> None:
        super().__init__(
            network,
            image_shape=image_shape,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer,
            schedule=schedule,
            weight_decay=weight_decay,
            augment=augment,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            n_threads=n_threads,
            verbose=verbose,
            warm_start=warm_start,
            random_state=random_state,
            callbacks=callbacks,
        )
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        """A row may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _new_target(self, y: Any, weight: np.ndarray | None, classes: Any) -> tuple[Target, np.ndarray]:
        target, y = class_target(y, classes)
        self.classes_ = target.classes
        return target, y

    def _weighted(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weight
        factors = compute_sample_weight(self.class_weight, y)
        if not (factors >= 0).all() or not factors.any():
            rule = "numbers of at least 0, and above 0 for one of the rows"
            raise ValueError(f"{type(self).__name__}: class_weight must be {rule}, got {self.class_weight!r}")
        return factors if weight is None else weight * factors

    # ---- fit ---------------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ConvNetClassifier:
        """Train from the beginning, or with `warm_start` go on with the network of the last fit; returns self.

        X: (N, F), sparse or a DataFrame too, or images (N, H, W) or (N, C, H, W), with `image_shape` (N, H, W, C) too.
        uint8 counts as pixels. y: a class for each row, (N,), or a 0 or 1 for each label, (N, K). sample_weight: (N,),
        at least 0; a row of weight 0 is left out. Raises ValueError or TypeError that names what does not fit.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> ConvNetClassifier:
        """One pass over these rows with a constant rate, in a network that the first call makes; returns self.

        classes: all that will ever come, (K,), in the first call; for labels K numbers. The first call's rows decide
        how numbers are standardised. Weights of classes must be given as numbers. Raises as `fit`.
        """
        if not hasattr(self, "model_") and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if hasattr(self, "model_") and classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(f"classes must be those of the first call, {self.classes_.tolist()}, got {classes!r}")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight {self.class_weight!r} is not supported for partial_fit, which does not see all rows:"
                " give a dict, or use compute_class_weight"
            )
        return self._fit(X, y, sample_weight, classes, partial=True)

    # ---- predictions -------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (N,); of several labels 0 or 1 for each, (N, K)."""
        scores = self._wide(X)
        return self._target.decode(scores)

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores before the softmax, (N, K); of two classes the second's minus the first's, (N,)."""
        scores = self._wide(X)
        two = scores.shape[1] == 2 and not self._target.multi_label
        return scores[:, 1] - scores[:, 0] if two else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes in the order of `classes_`, or of the labels, (N, K), as float64."""
        scores = self._wide(X)
        return self._target.probabilities(scores)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Their logarithms, (N, K), which stay finite where a probability rounds to 0."""
        scores = self._wide(X)
        return self._target.log_probabilities(scores)

    def _wide(self, X: Any) -> np.ndarray:
        """Scores in float64, so that probabilities sum to 1 as closely as metrics and calibrations of that ask."""
        return self._scores(X).astype(np.float64, copy=False)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write an ONNX file that takes X as float32 and gives "label" and "probabilities"; extra `onnx`.

        path: a file's name. X has the shape of fit's rows, its first size is "N". The labels have the kind of
        `classes_`: integers, strings, ... Raises as `minidl.onnx.save`.
        """
        check_is_fitted(self, "model_")
        export.save(path, self._network(), self._layout.given, self._target)
