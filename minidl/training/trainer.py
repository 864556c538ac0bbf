"""Training: batches in, weights changed, numbers kept."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import kernels, safetensors
from minidl.kernels import checks
from minidl.model import Model
from minidl.optim.weight_average import WeightAverage
from minidl.training import checkpoint
from minidl.training.callbacks import Callback, Checkpoint
from minidl.training.history import History
from minidl.training.interrupt import Interrupt, Interrupted
from minidl.training.non_finite import first_non_finite
from minidl.training.position import Run, describe
from minidl.training.progress import Progress, epoch_line, progress
from minidl.training.resume import begin
from minidl.training.samples import Samples, fingerprint, prepare

if TYPE_CHECKING:
    from minidl.data.augment.pipeline import Transform
    from minidl.data.augment.views import Views

NAN = float("nan")

EXAMPLES = {"loss": "SoftmaxCrossEntropyLoss()", "optimizer": "SGD(lr=0.01)"}


class Trainer:
    """Fits a model to data with a loss and an optimiser.

    model: a `Model`. loss: `SoftmaxCrossEntropyLoss` or `MSELoss`. optimizer: see `minidl.optim`; it keeps its state
    from one `fit` to the next. average: a `WeightAverage`, with which the model validates and ends. `history`, `run`
    (the position) and `callbacks` are those of the last `fit`.

    Data are pairs (x, y), see `minidl.training.samples`: x (M, C, H, W) or (M, F), uint8 (scaled by the model) or
    float; y class labels, or one row an image (one-hot, probabilities; for `MSELoss` the values).
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
        self.run: Run | None = None
        self.callbacks: list[Callback] = []
        self.waiting_states: list[checkpoint.State] = []

    def fit(
        self,
        data: tuple[Any, Any],
        validation: tuple[Any, Any] | None = None,
        epochs: int = 1,
        batch_size: int = 100,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: bool = True,
        resume: bool | str | os.PathLike[str] = False,
        augment: Sequence[Transform] = (),
    ) -> History:
        """Train for `epochs` passes over the data, each in a new order, the last batch of a pass as small as it comes.

        validation: data to measure after each epoch. seed: of the order, an int of at least 0; None draws from minidl's
        default generator. callbacks: see `minidl.training.callbacks`. verbose: whether to print
        (`minidl.training.progress`).

        resume: True goes on where the last `fit` of this trainer ended or was cut off, or where the file of the last
        `load` stands; a path does `load` first if there is such a file, and starts anew if there is none. A run goes on
        exactly, within an epoch too: weights and history (its seconds apart) end as those of an unbroken run. `epochs`
        counts the epochs already done. Training data, `batch_size` and `augment` must be the same, `seed` too or None;
        callbacks get their states back by their class and order. A run that a callback has ended stays ended if a
        callback of that class is there and `epochs` has not grown.

        augment: how the training images are changed at random, see `minidl.data.augment.transforms`; drawn from the
        seed.

        Ctrl-C ends the run between two steps; the weights stay, and the history of the completed epochs comes back with
        `interrupted` True. Raises FloatingPointError that names the layer where the first NaN or infinity stands when
        the loss is no finite number, before the step changes anything. Raises TypeError or ValueError that names the
        fault before the first step for data that do not fit, or a run that cannot be resumed with them; everything is
        then as it was.
        """
        epochs = checks.integer("Trainer", "epochs", epochs, 1)
        batch_size = checks.integer("Trainer", "batch_size", batch_size, 1)
        seed = None if seed is None else checks.integer("Trainer", "seed", seed, 0)
        train = prepare("training", data, self.model, self.loss)
        self.validation = None if validation is None else prepare("validation", validation, self.model, self.loss)
        if augment != ():
            from minidl.data.augment.pipeline import plan

            train = train._replace(plan=plan(augment, train.images.shape[1:], 0))
        # A checkpoint must hold what all others made of the epoch.
        callbacks = sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint))
        line = progress(verbose)
        run = Run(len(train.images), batch_size, epochs, seed, fingerprint(train), describe(train.plan))
        run = begin(self, run, callbacks, resume, line)
        history = self.history
        if train.plan is not None:
            train = train._replace(plan=replace(train.plan, seed=run.draw or 0))
        try:
            with Interrupt() as interrupt:
                while history.epochs < epochs and not run.stopped:
                    self._epoch(train, run, line, interrupt)
                    for callback in callbacks:  # all of them, also after one has asked to stop
                        if callback.on_epoch_end(self, history):
                            run.stopped = type(callback).__name__
                    interrupt.check()
        except KeyboardInterrupt as stop:
            history.interrupted = True
            if self.average is not None:
                self.average.apply()
            line.line(f"interrupted: the weights are those of the last step, the history has {history.epochs} epochs")
            if isinstance(stop, Interrupted):
                for callback in callbacks:
                    callback.on_interrupt(self, history)
        finally:
            line.close()
            self.model.release()
        for callback in callbacks:
            callback.on_fit_end(self, history)
        return history

    def evaluate(self, data: tuple[Any, Any], batch_size: int = 256, views: Views | None = None) -> dict[str, float]:
        """{"loss": mean loss, "accuracy": share of right answers in [0, 1]} of the data; nothing is trained.

        views: average the scores over these views of each image, as `Model.predict`. The accuracy is NaN where there
        are no classes. Raises as `fit` for data that do not fit.
        """
        batch_size = checks.integer("Trainer", "batch_size", batch_size, 1)
        return self._evaluate(prepare("evaluation", data, self.model, self.loss), batch_size, Interrupt(), views)

    # ---- the run -----------------------------------------------------------------------------------------------------

    def _epoch(self, train: Samples, run: Run, line: Progress, interrupt: Interrupt) -> None:
        """One pass over the data, or what is left of it, the measurements after it, and its entry in the history."""
        model, optimizer, average, history = self.model, self.optimizer, self.average, self.history
        if average is not None:
            average.train(model)
        parameters = model.parameters()
        hooks = [callback.on_step_end for callback in self.callbacks]
        hooks = [hook for hook in hooks if getattr(hook, "__func__", None) is not Callback.on_step_end]
        order = run.order()
        count, epoch = len(order), history.epochs
        moves = None if train.plan is None else train.plan.moves(epoch, order)
        line.start(epoch + 1, run.epochs, count, run.done)
        for start in range(run.done, count, run.batch_size):
            batch = slice(start, start + run.batch_size)
            index = order[batch]
            loss, correct = self._run(train, index, True, None if moves is None else moves[batch])
            if not math.isfinite(loss):
                raise self._overflow(loss, train.images[index], epoch, start // run.batch_size)
            model.run_backward(self.loss.dlogits)
            optimizer.progress(epoch + start / count, run.epochs)
            optimizer.step(parameters)
            if average is not None:
                average.step()
            run.add(len(index), loss, correct)
            history.step_loss.append(loss)
            line.update(run.done, run.total / run.done, run.right / run.done)
            for hook in hooks:
                hook(self, history)
            interrupt.check()
        if average is not None:
            average.apply()
        scores = {"loss": NAN, "accuracy": NAN}
        if self.validation is not None:
            scores = self._evaluate(self.validation, max(run.batch_size, 256), interrupt)
        run.tick()
        history.append(
            train_loss=run.total / count,
            train_accuracy=run.right / count,
            val_loss=scores["loss"],
            val_accuracy=scores["accuracy"],
            lr=optimizer.lr,
            seconds=run.seconds,
        )
        run.end_epoch()
        line.line(epoch_line(history, run.epochs, self.validation is not None))

    def _run(
        self,
        data: Samples,
        index: np.ndarray,
        train: bool,
        moves: np.ndarray | None = None,
        views: Views | None = None,
    ) -> tuple[float, float]:
        """Forward pass and loss of one batch -> loss, number of right answers (NaN without classes)."""
        model, loss = self.model, self.loss
        # The last step's arrays go first, so that one step's memory is all that is ever needed.
        model.release()
        backend = kernels.current()
        if views is not None:
            scores = backend.enter(model.predict(data.images[index], len(index), views))
        else:
            scores = model.run(backend.gather(data.images, index, data.scale, data.shift, moves=moves), train)
        value = loss.run(scores, data.target[index])
        if loss.correct is not None:
            return value, loss.correct
        if data.labels is None:
            return value, NAN
        return value, float(np.count_nonzero(backend.leave(scores).argmax(axis=1) == data.labels[index]))

    def _evaluate(
        self, data: Samples, batch_size: int, interrupt: Interrupt, views: Views | None = None
    ) -> dict[str, float]:
        total = right = 0.0
        order = np.arange(len(data.images))
        for start in range(0, len(order), batch_size):
            index = order[start : start + batch_size]
            loss, correct = self._run(data, index, False, None, views)
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
        """Write everything to one safetensors file, from which `load` and `fit(resume=True)` go on.

        That is weights, buffers, optimiser state, learning rate, history, position in the run, the generators of the
        order, of each layer and minidl's default one, the states of the callbacks; see `minidl.training.checkpoint`.
        The file is replaced by an atomic rename. Raises OSError if it cannot be written; an older file is then as it
        was.
        """
        safetensors.save(path, *checkpoint.pack(self))

    def load(self, path: str | os.PathLike[str]) -> Trainer:
        """Take everything from a file that `save` wrote, minidl's default generator included; returns self.

        On any error everything is as it was. Raises OSError if the file cannot be read, ValueError or TypeError that
        names the file if it is no checkpoint, of another version, or of another model or optimiser.
        """
        content = safetensors.load(path)
        try:
            checkpoint.unpack(self, content)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Trainer: {os.fspath(path)!r}: {error}") from error
        return self

    def callback_states(self) -> list[checkpoint.State]:
        """Class name and state of each callback of the last `fit` that has one, or what `load` found; for `save`."""
        if self.callbacks:
            return [(type(callback).__name__, state) for callback in self.callbacks if (state := callback.state())]
        return self.waiting_states
