"""What the estimators share: their parameters, and the way from rows to a trained network and back."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from minidl.kernels import checks
from minidl.model import Model
from minidl.sklearn import rows as given
from minidl.sklearn import training
from minidl.sklearn.build import build, entering
from minidl.sklearn.layout import layout
from minidl.sklearn.networks import choose
from minidl.sklearn.targets import Numbers, Target, affine, known_target
from minidl.sklearn.threads import sharing
from minidl.support import random
from minidl.training.callbacks import EarlyStopping
from minidl.training.trainer import Trainer

AT_ONCE = 4096
"""Rows of a sparse X that are made dense at a time in a prediction."""


class ConvNet(BaseEstimator, ABC):
    """Base of the estimators; see `ConvNetClassifier` for the parameters and attributes."""

    _numeric = False
    """Whether y must be numbers."""
    _least_epochs = 1

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
        n_threads: int | None = None,
        verbose: bool = False,
        warm_start: bool = False,
        random_state: Any = None,
        callbacks: Any = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.augment = augment
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_threads = n_threads
        self.verbose = verbose
        self.warm_start = warm_start
        self.random_state = random_state
        self.callbacks = callbacks

    def __sklearn_tags__(self) -> Any:
        """Rows may be sparse, and images."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags

    @abstractmethod
    def _new_target(self, y: Any, weight: np.ndarray | None, classes: Any) -> tuple[Target, Any]:
        """What y is in a first fit, and y as an array."""

    def _weighted(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """Weights of the rows, with whatever else weighs."""
        return weight

    # ---- fit ---------------------------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None, partial: bool = False) -> Any:
        """Train: from the beginning, or where there is a model and it is to be kept, go on with it."""
        who = type(self).__name__
        for name in ("early_stopping", "warm_start"):
            checks.flag(who, name, getattr(self, name))
        if partial and self.early_stopping:
            raise ValueError(f"{who}: partial_fit does not support early_stopping=True")
        again = hasattr(self, "model_") and (partial or self.warm_start)
        found, y, shape = given.rows_and_targets(self, X, y, not again, self._numeric)
        if again:
            self._layout.check(who, shape if len(shape) > 1 else None)
        weight = given.weights(found, sample_weight)
        if weight is not None and not weight.all():
            counted = weight > 0  # as if the others were not there
            found, y, weight = found[counted], y[counted], weight[counted]
        if not (partial and again):
            self._random = check_random_state(self.random_state)
        rng = np.random.default_rng(self._random.randint(2**31 - 1))
        try:
            with sharing(who, self.n_threads), random.drawing(rng):
                if again:
                    y = known_target(self._target, y) if y is not None else y
                else:
                    y = self._begin(who, found, y, weight, shape, classes, rng)
                self._train(who, found, y, weight, partial)
        except BaseException:
            if not again:  # an untrained network answers nothing, and decides nothing about a next fit
                self.__dict__.pop("model_", None)
            raise
        return self

    def _begin(
        self,
        who: str,
        found: np.ndarray,
        y: Any,
        weight: np.ndarray | None,
        shape: tuple[int, ...],
        classes: Any,
        rng: np.random.Generator,
    ) -> Any:
        """A new network for these rows; y as an array."""
        self._target: Any
        self._target, y = self._new_target(y, weight, classes)
        self._layout = layout(who, self.image_shape, shape, found.shape[1])
        self._pixels = found.dtype == np.uint8
        target = self._target
        chosen = choose(who, self.network, self._layout.shape, target.outputs, rng, isinstance(target, Numbers))
        self._habits = chosen.habits
        self._trained, self.model_ = build(chosen, target, self._layout.arrange(found), weight)
        self._optimizer: Any = None
        self.loss_curve_: list[float] = []
        self.n_iter_ = 0
        return y

    def _train(self, who: str, found: np.ndarray, y: Any, weight: np.ndarray | None, partial: bool) -> None:
        size = training.batch_size(who, self.batch_size, len(found), self._habits)
        if partial:
            epochs = 1
        elif self.epochs is None:
            epochs = self._habits.epochs(len(found), size)
        else:
            epochs = checks.integer(who, "epochs", self.epochs, self._least_epochs)
        if not partial or self._optimizer is None:
            schedule = "constant" if partial else self.schedule
            self._optimizer = training.optimizer(
                who, self.optimizer, self.lr, self.weight_decay, schedule, self._habits
            )
        self.callbacks_ = training.callbacks(who, self.callbacks)
        if self.early_stopping:
            patience = checks.integer(who, "n_iter_no_change", self.n_iter_no_change, 1)
            self.callbacks_.append(EarlyStopping("val_loss", patience))
        if epochs == 0:
            return
        x, target = entering(self._trained, self._layout, found, self._pixels), self._target.encode(y)
        weight = self._weighted(y, weight)
        if weight is not None:
            weight = None if weight.min() == weight.max() else weight / weight.max()
        parts: list[Any] = [x, target, *([] if weight is None else [weight])]
        validation = None
        if self.early_stopping:
            kinds = target if target.ndim == 1 else None
            seed = self._random.randint(2**31 - 1)
            train, held = training.split(who, len(x), self.validation_fraction, kinds, seed)
            parts, validation = [part[train] for part in parts], [part[held] for part in parts]
        trainer = Trainer(self._trained, self._target.loss(), self._optimizer)
        self.history_ = trainer.fit(
            tuple(parts),
            validation=None if validation is None else tuple(validation),
            epochs=epochs,
            batch_size=size,
            seed=int(self._random.randint(2**31 - 1)),
            callbacks=self.callbacks_,
            verbose=bool(self.verbose),
            augment=() if self.augment is None else self.augment,
        )
        if self.history_.interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        losses = self.history_["train_loss"]
        self.loss_curve_ = [*self.loss_curve_, *losses] if partial else list(losses)
        self.n_iter_ = len(self.loss_curve_)

    def _network(self, model: Model | None = None) -> Model:
        """From a row in the shape that `fit` got to what `model_`, or another, gives, in float32: for an ONNX file."""
        model = self.model_ if model is None else model
        pixels = []
        if self._pixels:
            like = np.empty((0, *self._layout.shape), np.uint8)
            scale, shift = model.scaling(like)
            pixels = [affine(scale, shift, "pixels")]
        layers = [*self._layout.layers(), *pixels, *copy.deepcopy(model).layers]
        return Model(*layers, class_names=model.class_names, multi_label=model.multi_label)

    # ---- predictions -------------------------------------------------------------------------------------------------

    def _scores(self, X: Any, model: Any = None) -> np.ndarray:
        """What `model_`, or another model, gives for the rows."""
        check_is_fitted(self, "model_")
        found = given.rows(self, X, self._layout)
        model = self.model_ if model is None else model
        step = AT_ONCE if hasattr(found, "toarray") else max(1, found.shape[0])
        parts = [slice(start, start + step) for start in range(0, found.shape[0], step)]
        with sharing(type(self).__name__, self.n_threads):
            scores = [
                model.predict(entering(self.model_, self._layout, given.dense(found[part]), self._pixels))
                for part in parts
            ]
        return scores[0] if len(scores) == 1 else np.concatenate(scores)
