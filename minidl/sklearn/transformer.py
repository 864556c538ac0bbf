"""The output of a layer of a trained network as features, as scikit-learn's transformer."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from minidl.layers import Flatten, Layer, Sequential
from minidl.layers.walk import places
from minidl.model import Model
from minidl.sklearn import export
from minidl.sklearn.base import ConvNet
from minidl.sklearn.targets import Target, class_target, number_target

TASKS = ("classification", "regression")


class ConvNetTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ConvNet):
    """Trains a network and gives the output of one of its layers: features for an SVM or for t-SNE.

    layer: which one, by its place in `model_` ("3", or "3.body" inside of another), its name, or its number, from the
    end if negative; None for what the last layer with weights reads. Maps (C, H, W) become rows of C H W numbers.
    task: "classification" or "regression", what the network is trained for; None for what y looks like. epochs: 0
    leaves the first weights, those of a trained network that the function `network` loads, and needs no y. All other
    parameters and attributes but class_weight and classes_: see `ConvNetClassifier`.
    """

    _least_epochs = 0

    def __init__(
        self,
        network: Any = None,
        *,
        layer: str | int | None = None,
        task: str | None = None,
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
        self.layer = layer
        self.task = task

    def __sklearn_tags__(self) -> Any:
        """Without a training there need be no y."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.epochs != 0
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _new_target(self, y: Any, weight: np.ndarray | None, classes: Any) -> tuple[Target, Any]:
        if self.task not in (None, *TASKS):
            who, rule = type(self).__name__, f"None or one of {', '.join(TASKS)}"
            raise ValueError(f"{who}: task must be {rule}, got {self.task!r}")
        if y is None:
            return number_target(np.zeros(1), None)[0], y
        numbers = self.task == "regression" or (self.task is None and type_of_target(y).startswith("continuous"))
        return number_target(y, weight) if numbers else class_target(y, classes)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> ConvNetTransformer:
        """Train as `ConvNetClassifier.fit` or `ConvNetRegressor.fit` do; returns self.

        Raises as these do, and ValueError or TypeError where there is no such layer.
        """
        self._fit(X, y, sample_weight)
        self._features = features(type(self).__name__, self.model_, self.layer)
        self._n_features_out = int(np.prod(self._features.output_shape(self._layout.shape)))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The layer's output for each row, (N, features)."""
        check_is_fitted(self, "_features")
        found = self._scores(X, self._features)
        return found.reshape(len(found), -1)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write an ONNX file that takes X as float32 and gives "features", (N, features); extra `onnx`.

        path: a file's name. X has the shape of fit's rows, its first size is "N". Raises as `minidl.onnx.save`.
        """
        check_is_fitted(self, "_features")
        export.save(path, self._network(self._features), self._layout.given, None)


def features(who: str, model: Model, layer: str | int | None) -> Model:
    """The first layers of a model, up to the one that is meant, which they share.

    Raises ValueError or TypeError where there is no such layer, or it stands inside of one that is no chain.
    """
    if layer is None:
        learning = [i for i, each in enumerate(model.layers) if each.learns()]
        if not learning or learning[-1] == 0:
            raise ValueError(f"{who}: layer must be named for this network, whose last layer with weights is its first")
        place = str(learning[-1] - 1)
    elif isinstance(layer, str):
        place = _place(who, model, layer)
    elif isinstance(layer, (int, np.integer)) and not isinstance(layer, bool):
        if not -len(model.layers) <= layer < len(model.layers):
            raise ValueError(f"{who}: layer must be one of {len(model.layers)}, got {layer}")
        place = str(layer % len(model.layers))
    else:
        raise TypeError(f"{who}: layer must be None, a place, a name or a number, got {layer!r}")
    return Model(
        *_upto(who, model, place.split("."), place), Flatten(), dtype=model.dtype.name,
        mean=model.mean.tolist(), std=model.std.tolist(),
    )  # fmt: skip


def _place(who: str, model: Model, layer: str) -> str:
    """The place of the layer that is called so."""
    known = {place: each for place, each in places(model).items() if place}
    if layer in known:
        return layer
    named = [place for place, each in known.items() if each.name == layer]
    if len(named) == 1:
        return named[0]
    what = f"{len(named)} layers are called so, at {', '.join(named)}" if named else f"places are {', '.join(known)}"
    raise ValueError(f"{who}: layer must be the place or the name of one layer, got {layer!r}; {what}")


def _upto(who: str, chain: Sequential, steps: list[str], place: str) -> list[Layer]:
    """The layers of a chain before the place and at it."""
    number = int(steps[0])
    before, last = chain.layers[:number], chain.layers[number]
    if len(steps) == 1:
        return [*before, last]
    if not isinstance(last, Sequential) or type(last).__name__ not in ("Sequential", "Model"):
        raise ValueError(
            f"{who}: layer {place!r} stands inside of {last.name}, which is no Sequential: name that one as a whole, or"
            " give a network whose features are a layer of its own"
        )
    return [*before, *_upto(who, last, steps[1:], place)]
