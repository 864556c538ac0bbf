"""Training: batches in, weights changed, numbers kept."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import kernels, random, safetensors
from minidl.average import WeightAverage
from minidl.callbacks import Callback
from minidl.diagnosis import first_non_finite
from minidl.history import History
from minidl.interrupt import Interrupt
from minidl.kernels import geometry
from minidl.model import Model
from minidl.progress import Progress, numbers, progress
from minidl.samples import Samples, prepare

if TYPE_CHECKING:
    from minidl.data.augmentation import Transform

NAN = float("nan")

EXAMPLES = {"loss": "SoftmaxCrossEntropyLoss()", "optimizer": "SGD(lr=0.01)"}


class Trainer:
    """Fits a model to data with a loss and an optimiser.

    model: a `Model`. loss: `SoftmaxCrossEntropyLoss` or `MSELoss`. optimizer: see `minidl.optim`; it keeps its state
    from one `fit` to the next. average: a `WeightAverage`, with which the model validates and ends. `history` is that
    of the last `fit`.

    Data are pairs (x, y), see `minidl.samples`: x (M, C, H, W) or (M, F), uint8 (scaled by the model) or float; y class
    labels, or one row an image (one-hot, probabilities; for `MSELoss` the values).
    """

    def __init__(self, model: Model, loss: Any, optimizer: Any, average: WeightAverage | None = None) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"Trainer: model must be a minidl.Model, got {model!r}")
        for name, value, method in (("loss", loss, "run"), ("optimizer", optimizer, "step")):
            if isinstance(value, type) or not hasattr(value, method):
                raise TypeError(f"Trainer: {name} must be an object such as minidl.{EXAMPLES[name]}, got {value!r}")
        if not (average is None or isinstance(average, WeightAverage)):
            raise TypeError(f"Trainer: average must be None or a minidl.WeightAverage(), got {average!r}")
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.average = average
        self.history = History()
        self.validation: Samples | None = None

    def fit(
        self,
        data: tuple[Any, Any],
        validation: tuple[Any, Any] | None = None,
        epochs: int = 1,
        batch_size: int = 100,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: bool = True,
        resume: bool = False,
        augment: Sequence[Transform] = (),
    ) -> History:
        """Train for `epochs` passes over the data, each in a new order, the last batch of a pass as small as it comes.

        validation: data to measure after each epoch. seed: of the order; None draws from minidl's default generator.
        callbacks: see `minidl.callbacks`. verbose: whether to print (`minidl.progress`). resume: go on with `history`,
        as after `load`: `epochs` then counts the epochs already done, and with the same seed the order is that of an
        unbroken run. augment: how the training images are changed at random, see `minidl.data.augmentation`; draws from
        the same seed.

        Ctrl-C ends the run between two steps; the weights stay, and the history of the completed epochs comes back with
        `interrupted` True. Raises FloatingPointError that names the layer where the first NaN or infinity stands when
        the loss is no finite number, before the step changes anything. Raises TypeError or ValueError that names the
        fault before the first step for data that do not fit.
        """
        epochs = geometry.integer("Trainer", "epochs", epochs, 1)
        batch_size = geometry.integer("Trainer", "batch_size", batch_size, 1)
        train = prepare("training", data, self.model, self.loss)
        self.validation = None if validation is None else prepare("validation", validation, self.model, self.loss)
        history = self.history = self.history if resume else History()
        history.interrupted = False
        rng = random.generator(seed)
        if augment != ():
            from minidl.data import augmentation

            draw = int(rng.integers(2**63)) if seed is None else seed
            train = train._replace(plan=augmentation.plan(augment, train.images.shape[1:], draw))
        if seed is not None:
            for _ in range(history.epochs):
                rng.permutation(len(train.images))
        for callback in callbacks:
            callback.on_fit_begin(self)
        line = progress(verbose)
        try:
            with Interrupt() as interrupt:
                for epoch in range(history.epochs, epochs):
                    self._epoch(train, rng.permutation(len(train.images)), batch_size, epoch, epochs, line, interrupt)
                    # A list, not a generator: every callback sees every epoch, also after one has asked to stop.
                    stop = [callback.on_epoch_end(self, history) for callback in callbacks]
                    if any(stop):
                        break
                    interrupt.check()
        except KeyboardInterrupt:
            history.interrupted = True
            if self.average is not None:
                self.average.apply()
            line.line(f"interrupted: the weights are those of the last step, the history has {history.epochs} epochs")
        finally:
            line.close()
            self.model.release()
        for callback in callbacks:
            callback.on_fit_end(self, history)
        return history

    def evaluate(self, data: tuple[Any, Any], batch_size: int = 256) -> dict[str, float]:
        """{"loss": mean loss, "accuracy": share of right answers in [0, 1]} of the data; nothing is trained.

        The accuracy is NaN where there are no classes. Raises as `fit` for data that do not fit.
        """
        batch_size = geometry.integer("Trainer", "batch_size", batch_size, 1)
        return self._evaluate(prepare("evaluation", data, self.model, self.loss), batch_size, Interrupt())

    # ---- the run -----------------------------------------------------------------------------------------------------

    def _epoch(
        self,
        train: Samples,
        order: np.ndarray,
        batch_size: int,
        epoch: int,
        epochs: int,
        line: Progress,
        interrupt: Interrupt,
    ) -> None:
        """One pass over the data in the given order, the measurements after it, and its entry in the history."""
        model, optimizer, average, history = self.model, self.optimizer, self.average, self.history
        if average is not None:
            average.train(model)
        parameters = model.parameters()
        count = len(order)
        total = right = 0.0
        begun = time.perf_counter()
        moves = None if train.plan is None else train.plan.moves(epoch, order)
        line.start(epoch + 1, epochs, count)
        for start in range(0, count, batch_size):
            index = order[start : start + batch_size]
            loss, correct = self._run(train, index, True, None if moves is None else moves[start : start + batch_size])
            if not math.isfinite(loss):
                raise self._overflow(loss, train.images[index], epoch, start // batch_size)
            model.run_backward(self.loss.dlogits)
            optimizer.progress(epoch + start / count, epochs)
            optimizer.step(parameters)
            if average is not None:
                average.step()
            total += loss * len(index)
            right += correct
            done = start + len(index)
            history.step_loss.append(loss)
            line.update(done, total / done, right / done)
            interrupt.check()
        if average is not None:
            average.apply()
        scores = {"loss": NAN, "accuracy": NAN}
        if self.validation is not None:
            scores = self._evaluate(self.validation, max(batch_size, 256), interrupt)
        history.append(
            train_loss=total / count,
            train_accuracy=right / count,
            val_loss=scores["loss"],
            val_accuracy=scores["accuracy"],
            lr=optimizer.lr,
            seconds=time.perf_counter() - begun,
        )
        line.line(epoch_line(history, epochs))

    def _run(
        self, data: Samples, index: np.ndarray, train: bool, moves: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Forward pass and loss of one batch -> loss, number of right answers (NaN without classes)."""
        model, loss = self.model, self.loss
        # The last step's arrays go first, so that one step's memory is all that is ever needed.
        model.release()
        backend = kernels.current()
        scores = model.run(backend.gather(data.images, index, data.scale, data.shift, moves=moves), train)
        value = loss.run(scores, data.target[index])
        if loss.correct is not None:
            return value, loss.correct
        if data.labels is None:
            return value, NAN
        return value, float(np.count_nonzero(backend.leave(scores).argmax(axis=1) == data.labels[index]))

    def _evaluate(self, data: Samples, batch_size: int, interrupt: Interrupt) -> dict[str, float]:
        total = right = 0.0
        order = np.arange(len(data.images))
        for start in range(0, len(order), batch_size):
            index = order[start : start + batch_size]
            loss, correct = self._run(data, index, False)
            total += loss * len(index)
            right += correct
            interrupt.check()
        self.model.release()
        return {"loss": total / len(order), "accuracy": right / len(order)}

    def _overflow(self, loss: float, images: np.ndarray, epoch: int, step: int) -> FloatingPointError:
        cause = first_non_finite(self.model, images)
        return FloatingPointError(
            f"Trainer: the loss became {loss} in epoch {epoch + 1}, step {step + 1}: {cause}."
            f" Often a smaller learning rate than {self.optimizer.lr:g} helps, or scaled inputs"
        )

    # ---- on disk -----------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights, states of optimiser and average, and history to one safetensors file.

        `load` and `resume` go on from it.
        """
        tensors = {f"model.{name}": array for name, array in self.model.state().items()}
        tensors |= {f"optimizer.{name}": array for name, array in self.optimizer.state().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": array for name, array in self.average.state().items()}
        safetensors.save(path, tensors, {**self.model.metadata(), "history": self.history.to_json()})

    def load(self, path: str | os.PathLike[str]) -> Trainer:
        """Take weights, optimiser state and history from a file that `save` wrote; returns self.

        On any error everything is as it was. Raises OSError, TypeError or ValueError as `Model.load`.
        """
        tensors, metadata = safetensors.load(path)
        if "history" not in metadata:
            raise ValueError(f"Trainer: {os.fspath(path)!r} is no trainer's file (for weights alone: Model.load)")
        history = History.from_json(metadata["history"])
        mean, std = self.model.statistics(metadata)
        parts: dict[str, dict[str, np.ndarray]] = {"model": {}, "optimizer": {}, "average": {}}
        for name, array in tensors.items():
            part, _, rest = name.partition(".")
            if part not in parts:
                raise ValueError(
                    f"Trainer: {os.fspath(path)!r} has a tensor of neither model, optimizer nor average: {name}"
                )
            parts[part][rest] = array
        if self.average is None and parts["average"]:
            raise ValueError(
                f"Trainer: {os.fspath(path)!r} has averaged weights, which need Trainer(average=minidl.WeightAverage())"
            )
        shapes = {name: array.shape for name, array in self.model.state().items()}
        for part in ("optimizer", "average"):
            for name, array in parts[part].items():
                owner = name.rpartition(".")[0]
                if owner and shapes.get(owner) != array.shape:
                    rule = f"must have shape {shapes[owner]}" if owner in shapes else "belongs to no parameter"
                    raise ValueError(f"Trainer: the {part}'s {name} {rule}, got {array.shape}")
        before, optimizer_before = self.model.state(), self.optimizer.state()
        self.model.load_state(parts["model"])
        try:
            self.optimizer.load_state(parts["optimizer"])
            if self.average is not None:
                self.average.load_state(parts["average"])
        except BaseException:
            self.optimizer.load_state(optimizer_before)
            self.model.load_state(before)
            raise
        self.model.mean, self.model.std, self.history = mean, std, history
        return self


def epoch_line(history: History, epochs: int) -> str:
    """The last epoch of the history in one line."""
    last = {key: values[-1] for key, values in history.items()}
    parts = [f"epoch {history.epochs:{len(str(epochs))}}/{epochs}"]
    parts.append(numbers("train", last["train_loss"], last["train_accuracy"]))
    if last["val_loss"] == last["val_loss"]:
        parts.append(numbers("val", last["val_loss"], last["val_accuracy"]))
    parts += [f"lr {last['lr']:.3g}", f"{last['seconds']:.1f} s"]
    return "  ".join(parts)
