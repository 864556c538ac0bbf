"""Training: batches in, weights changed, numbers kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import safetensors
from minidl.kernels import checks
from minidl.model import Model
from minidl.optim.base import rated
from minidl.optim.weight_average import WeightAverage
from minidl.training import checkpoint
from minidl.training.beside import beside
from minidl.training.call import Call, call
from minidl.training.callbacks import Callback
from minidl.training.evaluation import making, measure
from minidl.training.history import History
from minidl.training.interrupt import Interrupt, Interrupted
from minidl.training.measures import Metric, check_metrics, mode_of
from minidl.training.non_finite import check_weights, overflow
from minidl.training.parallel import ALONE, Parallel
from minidl.training.position import Position
from minidl.training.progress import Progress, epoch_line, progress
from minidl.training.resume import go_on_from_loaded
from minidl.training.snapshot import unchanged_on_error
from minidl.training.state import State
from minidl.training.step import NAN, NonFiniteLoss
from minidl.training.stream import Data, take

if TYPE_CHECKING:
    from minidl.data.augment.views import Views
    from minidl.training.augmentation import Augment

EXAMPLES = {"loss": "SoftmaxCrossEntropyLoss()", "optimizer": "SGD(lr=0.01)"}


class Trainer:
    """Fits a model to data with a loss and an optimiser.

    model: a `Model`. loss: any `Loss`, see `minidl.losses`. optimizer: see `minidl.optim`; it keeps its state from one
    `fit` to the next. average: a `WeightAverage`, with which the model validates and ends. `state` is where
    the last `fit` stands (`minidl.training.state`); `history`, `run` (the position), `callbacks` and `validation` are
    parts of it. metrics: functions f(scores, targets) -> float by name, such as {"f1": minidl.metrics.MacroF1()}, over
    all scores (N, ...) and targets of a set: the validation data after each epoch, as "val_f1" in history, logs and
    monitors, and the data of `evaluate`. Over the training data they would cost a second pass: `evaluate` does it.
    parallel: a `minidl.mpi.DataParallel`, with which several processes train the model.

    Data are pairs (x, y), see `minidl.training.samples`: x (M, C, H, W) or (M, F), uint8 (scaled by the model) or
    float; y class labels, or one row an image (one-hot, probabilities; for `MSELoss` the values). Or triples (x, y,
    weight) with a weight of at least 0 for each image: losses and accuracies are then sum(w l) / sum(w). Or what gives
    batches of either each time it is iterated, a list, a loader, a function without arguments; see
    `minidl.training.stream`.
    """

    def __init__(
        self,
        model: Model,
        loss: Any,
        optimizer: Any,
        average: WeightAverage | None = None,
        metrics: Mapping[str, Metric] | None = None,
        parallel: Parallel | None = None,
    ) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"Trainer: model must be a minidl.Model, got {model!r}")
        for name, value, method in (("loss", loss, "run"), ("optimizer", optimizer, "step")):
            if isinstance(value, type) or not hasattr(value, method):
                raise TypeError(f"Trainer: {name} must be an object such as minidl.{EXAMPLES[name]}, got {value!r}")
        if not (average is None or isinstance(average, WeightAverage)):
            raise TypeError(f"Trainer: average must be None or a minidl.WeightAverage(), got {average!r}")
        if not (parallel is None or isinstance(parallel, Parallel)):
            raise TypeError(f"Trainer: parallel must be None or a minidl.mpi.DataParallel(), got {parallel!r}")
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.average = average
        self.metrics = check_metrics(metrics)
        self.parallel = ALONE if parallel is None else parallel
        self.state = State()
        self._call: Call | None = None  # of the fit that is running
        self._line = Progress(None)

    @property
    def history(self) -> History:
        """What the last `fit` has measured, or what `load` found."""
        return self.state.history

    @property
    def run(self) -> Position | None:
        """The position in the run; None before the first."""
        return self.state.position

    @property
    def callbacks(self) -> list[Any]:
        """Those of the last `fit`."""
        return list(self.state.callbacks)

    @property
    def validation(self) -> Data | None:
        """The validation data of the last `fit`."""
        return self.state.validation

    def fit(
        self,
        data: Any,
        validation: Any = None,
        epochs: int = 1,
        batch_size: int = 100,
        seed: int | None = None,
        callbacks: Callback | Iterable[Callback] = (),
        verbose: bool = True,
        resume: bool | str | os.PathLike[str] = False,
        augment: Augment = (),
        sample_weight: Any = None,
        coordinates: Any = None,
    ) -> History:
        """Train for `epochs` passes over the data, each in a new order, the last batch of a pass as small as it comes.

        Data in batches keep their order and sizes; `batch_size` is not asked. A thread makes the next ones while the
        step runs. A schedule sees the share of the epoch that is done; where the data do not know their length, it sees
        whole epochs in the first pass, which counts the batches of the others.

        validation: data to measure after each epoch. seed: of the order, an int in [0, 2^63]; None draws from minidl's
        default generator. callbacks: one or several, see `minidl.training.callbacks`. verbose: whether to print
        (`minidl.training.progress`).

        resume: True goes on where the last `fit` of this trainer ended or was cut off, or where the file of the last
        `load` stands; a path does `load` first if there is such a file, and starts anew if there is none. A name as
        `Checkpoint` takes it, "e{epoch:03}.safetensors", stands for that of its files which was written last. A run
        goes on exactly, within an epoch too: weights and history (its seconds apart) end as those of an unbroken run.
        `epochs` counts the epochs already done. Training data, `batch_size` and `augment` must be the same, `seed` too
        or None; of all other settings those of this script hold, the learning rate included, and a line names the ones
        that differ. Of data in batches the first one is compared, and a UserWarning tells where it is another.
        Callbacks get their states back by their class and order. A run that a callback has ended stays ended if a
        callback of that class is there and `epochs` has not grown.

        augment: how the training images are changed at random, drawn from the seed: transforms (see
        `minidl.data.augment.transforms`), before them functions (images, generator) -> images on a copy of each batch,
        of the same shape and dtype, with a generator of its own for each batch of each epoch; or one function. They run
        in a thread, too. sample_weight: (M,) of at least 0, in place of a triple's. coordinates: for targets that are
        numbers, which of their columns are positions (`minidl.data.augment.points`), and move with the images: a list
        of pairs (x, y) of columns, () for none. Without an answer transforms that move or flip the images are refused.

        Ctrl-C ends the run between two steps; the weights stay, and the history of the completed epochs comes back with
        `interrupted` True. So does SIGTERM, where nobody else handles it, and then ends the process. Raises
        FloatingPointError that names the layer where the first NaN or infinity stands when the loss is no finite
        number; weights, running statistics and generators are then as before that step. It names the parameter that is
        no longer finite after an epoch's last step. Raises TypeError or ValueError that names the fault before the
        first step for data that do not fit, or a run that cannot be resumed with them; everything is then as it was.
        Raises RuntimeError inside of a callback, and for data in batches where the loss must have seen all targets.
        """
        if self._call is not None:
            raise RuntimeError(
                "Trainer: fit must not be called while it runs, got a call from a callback or another thread;"
                " a callback goes back to a checkpoint by trainer.load, and ends the run by returning True"
            )
        if not isinstance(verbose, (int, np.bool_)):
            raise TypeError(f"Trainer: verbose must be True or False, got {verbose!r}")
        interrupt = self.parallel.interrupt()
        given = data, validation, epochs, batch_size, seed, callbacks, augment, sample_weight, coordinates
        try:
            with self.parallel.running(self):
                with self.parallel.settling():
                    asked = call(self, *given)
                asked = self.parallel.agreed(self, asked)
                self._line = progress(verbose and self.parallel.rank == 0)
                self._run(asked, resume, interrupt)
                history = self.history
                self._finish(asked.callbacks, history)
        finally:
            self._line = Progress(None)
        interrupt.pass_on()
        return history

    def evaluate(self, data: Any, batch_size: int = 256, views: Views | None = None) -> dict[str, float]:
        """{"loss": mean loss, "accuracy": share of right answers in [0, 1]} of the data, and the metrics by name.

        It may run in one thread while `fit` runs in another, which then ends in the same bits.

        views: average the scores over these views of each image, as `Model.predict`. The accuracy is NaN where there
        are no classes. Raises as `fit` for data that do not fit.
        """
        batch_size = checks.integer("Trainer", "batch_size", batch_size, 1)
        samples = take("evaluation", data, self.model, self.loss)
        return measure(*beside(self.model, self.loss), samples, batch_size, Interrupt(), views, self.metrics)

    def say(self, text: str) -> None:
        """Print a line above the moving one of the `fit` that runs; nothing outside of it, or if it is not verbose."""
        self._line.line(text)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles, also those made in a callback, are not inside of a `fit`."""
        return {**vars(self), "_call": None, "_line": Progress(None), "parallel": ALONE}

    # ---- the run -----------------------------------------------------------------------------------------------------

    def _run(self, asked: Call, resume: bool | str | os.PathLike[str], interrupt: Interrupt) -> None:
        """Begin, and train until there are enough epochs, a callback has ended the run, or the user has."""
        self._call = asked
        try:
            self.parallel.begin(self, asked, resume)
            with interrupt:
                while not self._done():
                    if self._epoch(asked, interrupt):
                        self._end_epoch()
                        self.parallel.end_epoch(self)
                    interrupt.check()
        except NonFiniteLoss as error:
            raise self.parallel.overflow(self, error, partial(overflow, self, error)) from None
        except KeyboardInterrupt as stop:
            if not self._going_on():
                raise
            self._interrupted(isinstance(stop, Interrupted))
        finally:
            if self._going_on():
                self.state.rates = tuple(each.lr for each in rated(self.optimizer))
            self._call = None
            self._line.close()
            self.model.release()

    def _going_on(self) -> bool:
        """Whether a run has begun and not ended: its callbacks are then those of the call."""
        return self._call is not None and self.state.callbacks is self._call.callbacks

    def _done(self) -> bool:
        assert self.run is not None
        return self.history.epochs >= self.run.epochs or bool(self.run.stopped)

    def _epoch(self, asked: Call, interrupt: Interrupt) -> bool:
        """One pass over the data, or what is left of it, the measurements after it, and its entry in the history.

        Returns False if a callback has loaded another state, from which the training is to go on.
        """
        state, position, history = self.state, self.state.position, self.history
        assert position is not None
        epoch, epochs = history.epochs, position.epochs
        if self.average is not None:
            self.average.train(self.model)
        step = self.parallel.step(self)
        hooks = self._step_hooks()
        self._line.start(epoch + 1, epochs, *position.counted)
        with making(asked.batches(position, epoch), asked.ahead, interrupt.check) as batches:
            for batch in self.parallel.share(asked.compared(batches, position)):
                self.optimizer.progress(epoch + position.share, epochs)
                loss, right = step.train(batch)
                position.add(step.images, loss, right, step.weight, step.mass)
                history.step_loss.append(loss)
                self._line.update(position.counted[1], *position.means)
                for hook in hooks:
                    hook(self, history)
                    if self.state is not state:
                        return False
                interrupt.check()
        check_weights(self)
        if self.average is not None:
            self.average.apply()
        self._record(self._validate(interrupt))
        return True

    def _step_hooks(self) -> list[Any]:
        """`on_step_end` of the callbacks that write it: it costs nothing where none does."""
        hooks = [callback.on_step_end for callback in self.callbacks]
        return [hook for hook in hooks if getattr(hook, "__func__", None) is not Callback.on_step_end]

    def _end_epoch(self) -> None:
        """Ask all callbacks, also after one has asked to stop, whether the run is to end.

        If one has loaded another state, the epoch that the next ones would hear of is no longer there.
        """
        state = self.state
        for callback in self.callbacks:
            stop = callback.on_epoch_end(self, state.history)
            if stop and self.run is not None:
                self.run.stopped = type(callback).__name__
            if self.state is not state:
                return

    def _validate(self, interrupt: Interrupt) -> dict[str, float]:
        if self.validation is None or self.run is None:
            return dict.fromkeys(("loss", "accuracy", *self.metrics), NAN)
        batch_size = max(self.run.batch_size, 256)
        what = self.model, self.loss, self.validation, batch_size, interrupt
        return measure(*what, metrics=self.metrics, parallel=self.parallel)

    def _record(self, scores: dict[str, float]) -> None:
        """The epoch's entry in the history, and its line."""
        position, history = self.run, self.history
        assert position is not None
        position.tick()
        loss, accuracy = position.means
        history.append(
            train_loss=loss,
            train_accuracy=accuracy,
            val_loss=scores["loss"],
            val_accuracy=scores["accuracy"],
            lr=self.optimizer.lr,
            seconds=position.seconds,
            **{f"val_{name}": scores[name] for name in self.metrics},
        )
        history.modes = self._modes()
        position.end_epoch()
        self.say(epoch_line(history, position.epochs, self.validation is not None))

    def _modes(self) -> dict[str, str]:
        """What the metrics say is better."""
        return {f"val_{name}": mode for name, metric in self.metrics.items() if (mode := mode_of(metric))}

    def _interrupted(self, between_steps: bool) -> None:
        self.history.interrupted = True
        if self.average is not None:
            self.average.apply()
        self.say(f"interrupted: the history has {self.history.epochs} epochs")
        if between_steps:
            for callback in self.callbacks:
                callback.on_interrupt(self, self.history)

    def _finish(self, callbacks: Sequence[Callback], history: History) -> None:
        """Tell the callbacks that the run is over, and after Ctrl-C whether they have left the weights as they were."""
        weights = self.model.state() if history.interrupted else {}
        for callback in callbacks:
            callback.on_fit_end(self, history)
        if weights and all((weights[name] == array).all() for name, array in self.model.state().items()):
            self.say("the weights are those of the last step" + ", averaged" * (self.average is not None))

    # ---- on disk -----------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file, from which `load` and `fit(resume=True)` go on.

        That is weights, buffers, optimiser state, learning rate, history, position in the run, the generators of the
        order, of each layer and minidl's default one, the states of the callbacks; see `minidl.training.checkpoint`.
        The file is replaced by an atomic rename. Raises OSError if it cannot be written; an older file is then as it
        was. Of several processes (`parallel`) that of rank 0 writes, and the others do nothing.
        """
        if self.parallel.rank == 0:
            safetensors.save(path, *checkpoint.pack(self))

    def load(self, path: str | os.PathLike[str]) -> Trainer:
        """Take everything from a file that `save` wrote, minidl's default generator included; returns self.

        Settings stay those of the script; so does the learning rate, if that is another than the one which the script
        that wrote the file had set. In a callback of the running `fit` the run goes on from the file (see `Callback`).
        On any error everything is as it was. Raises OSError if the file cannot be read, ValueError or TypeError that
        names the file if it is no checkpoint, of another version, or of another model or optimiser; in a callback also
        if it is that of another run.
        """
        content = safetensors.load(path)
        try:
            if self._call is None or not self._going_on():
                checkpoint.unpack(self, content)
            else:
                with unchanged_on_error(self):
                    checkpoint.unpack(self, content)
                    go_on_from_loaded(self, self._call)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Trainer: {os.fspath(path)!r}: {error}") from error
        self.history.modes = self._modes()
        return self
