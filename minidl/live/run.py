"""One training that can be watched, paused, stepped and steered: a Trainer in a thread of its own."""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any

import numpy as np

from minidl.layers.walk import places
from minidl.live import looks
from minidl.live.choices import CHANGES, OPTIMISERS, Images, Settings
from minidl.live.layer_list import check
from minidl.live.memory import give_back
from minidl.live.packed import numbers
from minidl.losses import SoftmaxCrossEntropyLoss
from minidl.support import random
from minidl.training.callbacks import Callback
from minidl.training.history import History
from minidl.training.state import Training
from minidl.training.trainer import Trainer

EVERY, LOOK = 0.1, 0.5
"""Seconds between two points of a curve, and between two looks at the network, at least."""
LOOK_SHARE = 100
"""A look that took t seconds is followed by the next one after 100 t at the earliest."""
JUDGE_SHARE = 200
"""The same for predictions of all validation images."""
BATCH_VALUES = 100_000_000
"""Numbers that a layer may make of a batch."""
NO_MEMORY = "there is not enough memory for that: make the batch, the images or a layer smaller"
NOTHING = (-1, -1, -1)
"""What a page has seen that has just come."""
POINTS = 1200
"""So many points of a curve are kept; of more, each two neighbours become one."""


class Ended(Exception):
    """The training is not wanted any more."""


class Run:
    """A model, a Trainer and what the page knows of them.

    status: "ready", "running", "paused", "done" (all epochs), "failed" (`message` says why). version: grows with every
    change that the page is to see. viewers: how many pages look on; without any, nobody pays for a look. image: which
    image of the validation data the maps are of. Raises ValueError for layers that do not fit the data.
    """

    def __init__(self, settings: Settings, images: Images) -> None:
        self._rng = np.random.default_rng(settings.seed)  # its own: other threads draw from the default one
        self.settings, self.images = settings, images
        with random.drawing(self._rng):
            self.rows, model = check(settings.layers, images.shape, len(images.names))
        if model is None:
            written = [row for row in self.rows if row["text"].strip()]
            number, error = next((i, row["error"]) for i, row in enumerate(written) if row["error"])
            raise ValueError(error if error.startswith(f"layer {number}") else f"layer {number}: {error}")
        largest = max(math.prod(row["shape"] or ()) for row in self.rows)
        if settings.batch * largest > BATCH_VALUES:
            found = f"a batch of {settings.batch} images is {settings.batch * largest:,} numbers behind one layer"
            raise ValueError(f"{found}, this page takes {BATCH_VALUES:,}: make the batch or the layer smaller")
        self.model = model
        self.trainer = Trainer(
            model, SoftmaxCrossEntropyLoss(), OPTIMISERS[settings.optimiser].made(settings.lr, settings.weight_decay)
        )
        self.places = places(model)
        self.status, self.message = "ready", ""
        self.version = self.steps = self.viewers = self.image = 0
        self.rate = 0.0
        self.look, self.looks = "null", 0  # how many looks there were
        self.points: list[tuple[int, float, float]] = []
        self.judgements: list[tuple[int, float, float]] = []
        self.judged: dict[str, Any] | None = None
        self.dead: list[dict[str, Any]] = []
        self.guesses: np.ndarray | None = None
        self._turn = threading.Condition()
        self._paused = self._closed = self._training = False
        self._allowed = 0  # steps before the next pause
        self._speed = 0.0
        self._thread: threading.Thread | None = None
        self._sums = [0.0, 0.0, 0.0]  # loss, right answers and images since the last point
        self._steps_summed = 0
        self._before = (0.0, 0.0)  # right answers and images of the epoch at the last step
        self._reported = self._looked = self._look_cost = self._epoch_looked = self._judge_cost = self._due = 0.0
        self.judge(0.0)
        self.take_look()

    # ---- what the page asks for --------------------------------------------------------------------------------------

    def start(self, steps: int = 0) -> None:
        """Train on; steps: pause after so many, 0 for none."""
        with self._turn:
            self._paused, self._allowed = steps > 0, steps
            self._turn.notify_all()
            self.version += 1
            if self._closed or self.status == "failed":
                return
            self.status = "running"
            if self._training:
                return
            self._training = True
            self._reported, self._looked = time.perf_counter(), 0.0
            self._thread = threading.Thread(target=self._train, name="minidl.live training", daemon=True)
            self._thread.start()

    def pause(self) -> None:
        """Stop before the next step."""
        with self._turn:
            self._paused, self._allowed = True, 0
            self.version += 1
            self._turn.notify_all()

    def steer(self, lr: float | None = None, weight_decay: float | None = None, speed: float | None = None) -> None:
        """Change the rate, the decay, or how many steps a second are made (0: no limit), from the next step on."""
        with self._turn:
            if lr is not None:
                self.trainer.optimizer.lr = lr
            if weight_decay is not None:
                self.trainer.optimizer.weight_decay = weight_decay
            if speed is not None:
                self._speed, self._due = speed, 0.0
            self.version += 1
            self._turn.notify_all()

    def close(self) -> None:
        """End the training for good, and wait until its thread is gone."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
        if self._thread is not None:
            self._thread.join(60)

    def observe(self, image: int) -> None:
        """Show the maps of this image of the validation data."""
        self.image = image % len(self.images.x_val)
        if not self.busy:
            self.take_look()
        else:
            self._looked = 0.0
        self.version += 1

    @property
    def busy(self) -> bool:
        """Whether steps are being made now."""
        return self.status == "running"

    def seen(self) -> tuple[int, int, int]:
        """The steps of the last points of both curves, and the number of the last look."""
        points, judgements = self.points, self.judgements
        return points[-1][0] if points else 0, judgements[-1][0] if judgements else 0, self.looks

    def report(self, seen: tuple[int, int, int] = NOTHING) -> str:
        """What the page is to know, as JSON: with points of the curves, and the look, where they are new to one who
        has `seen` these."""
        optimiser, history = self.trainer.optimizer, self.trainer.history
        told = {
            "kind": "run",
            "status": self.status,
            "message": self.message,
            "step": self.steps,
            "epoch": history.epochs,
            "rate": numbers(self.rate),
            "lr": optimiser.lr,
            "weight_decay": optimiser.weight_decay,
            "speed": self._speed,
            "image": self.image,
            "points": [numbers(point) for point in list(self.points) if point[0] > seen[0]],
            "judgements": [numbers(point) for point in list(self.judgements) if point[0] > seen[1]],
            "fresh": seen[0] < 0,
        }
        look = self.look if self.looks != seen[2] else "null"
        return f'{json.dumps(told)[:-1]},"look":{look}}}'

    # ---- the thread --------------------------------------------------------------------------------------------------

    def _train(self) -> None:
        settings, images = self.settings, self.images
        done = self.trainer.history.epochs
        try:
            with random.drawing(self._rng):
                self.trainer.fit(
                    (images.x, images.y),
                    (images.x_val, images.y_val),
                    done + settings.epochs,
                    settings.batch,
                    settings.seed,
                    [Hook(self)],
                    verbose=False,
                    resume=done > 0,
                    augment=CHANGES[settings.change][1],
                )
            status, message = "done", ""
            self.judge(0.0)
        except Ended:
            status, message = "ended", ""
        except MemoryError:
            status, message = "failed", NO_MEMORY
        except Exception as error:  # a diverging loss, memory that is not there: the page is to say it
            status, message = "failed", " ".join(str(error).split())[:400] or type(error).__name__
        self.take_look()
        give_back()  # the pictures and predictions of a large batch leave as much as the training did
        with self._turn:
            self.status, self.message, self._training = status, message, False
            self.version += 1

    def after_step(self, trainer: Training, history: History) -> None:
        """Keep the numbers of a step; report, wait or end as the page has asked."""
        position = trainer.run
        assert position is not None
        self.steps += 1
        right, seen = self._before if position.weight > self._before[1] else (0.0, 0.0)
        self._before = position.right, position.weight
        for i, value in enumerate((history.step_loss[-1], position.right - right, position.weight - seen)):
            self._sums[i] += value
        self._steps_summed += 1
        if len(history.step_loss) > 2 * POINTS:  # the page keeps a curve of its own, of bounded length
            del history.step_loss[:-POINTS]
        now = time.perf_counter()
        if self._closed or self._paused or self._speed or now - self._reported >= EVERY:
            self._report(now)
            self._wait()

    def _report(self, now: float) -> None:
        loss, right, seen = self._sums
        passed = now - self._reported
        if passed >= EVERY or self._paused or self._speed:
            self.points.append((self.steps, loss / self._steps_summed, right / seen))
            self.points[:] = thinned(self.points)
            self.rate = seen / passed
            self._sums, self._steps_summed = [0.0, 0.0, 0.0], 0
            self._reported = now
            self.version += 1
        if self.viewers and now - self._looked >= max(LOOK, LOOK_SHARE * self._look_cost):
            self.take_look()

    def _wait(self) -> None:
        """Until the next step may be made."""
        with self._turn:
            self._allowed = max(self._allowed - 1, 0)
            stopped = False
            while not self._closed:
                left = self._due - time.perf_counter() if self._speed else 0.0
                if self._paused and not self._allowed:
                    if self.status != "paused":
                        stopped, self.status = True, "paused"
                        if self.viewers:
                            self.judge(time.perf_counter())
                            self.take_look()
                        self.version += 1
                    self._turn.wait()
                elif left > 0:
                    self._turn.wait(left)
                else:
                    break
            if self._closed:
                raise Ended
            now = time.perf_counter()
            if stopped:
                self.status, self._reported = "running", now
            self._due = max(self._due, now) + 1 / self._speed if self._speed else 0.0

    def after_epoch(self, history: History) -> None:
        """Keep the validation's numbers."""
        self.judgements.append((self.steps, history["val_loss"][-1], history["val_accuracy"][-1]))
        self.judgements[:] = thinned(self.judgements)
        now = time.perf_counter()
        if self.viewers and now - self._epoch_looked >= JUDGE_SHARE * self._judge_cost:
            self.judge(now)

    # ---- looks -------------------------------------------------------------------------------------------------------

    def judge(self, now: float) -> None:
        """Predict the validation images: confusion, mistakes, and the Relus that are dead."""
        began = time.perf_counter()
        scores = self.model.predict(self.images.x_val)
        self.guesses = scores.argmax(axis=1)
        self.judged = looks.judged(scores, self.images.y_val, len(self.images.names))
        self.dead = looks.dead(self.model, self.images.x_val[: looks.PROBED])
        self._epoch_looked, self._judge_cost = now, time.perf_counter() - began

    def take_look(self) -> None:
        """Make the pictures of now; a network whose maps cannot be taken is told without them."""
        began = time.perf_counter()
        images, model, number = self.images, self.model, self.image
        told: dict[str, Any] = {"step": self.steps, "image": number, "judged": self.judged}
        try:
            image = images.x_val[number]
            told["layers"] = looks.pictured(model, image)
            with np.errstate(over="ignore", invalid="ignore"):  # of a training that has failed
                told["scores"] = numbers(model.predict_proba(image[None])[0])
            told["truth"] = int(images.y_val[number])
            told["filters"] = looks.filters(model, images.shape)
            told["gradients"] = looks.gradients(model)
            told["dead"] = self.dead
        except (ValueError, FloatingPointError) as error:
            told["error"] = str(error)
        self.look = json.dumps(told)
        self.looks += 1
        self._looked = time.perf_counter()
        self._look_cost = self._looked - began


class Hook(Callback):
    """Tells the run of each step and epoch."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_step_end(self, trainer: Training, history: History) -> None:
        """A step was made."""
        self.run.after_step(trainer, history)

    def on_epoch_end(self, trainer: Training, history: History) -> None:
        """An epoch is through, and validated."""
        self.run.after_epoch(history)


def thinned(points: list[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """At most `POINTS` points: of more, each two neighbours are one with their mean, at the later one's step."""
    if len(points) <= POINTS:
        return points
    pairs = zip(points[0::2], points[1::2])
    return [(b[0], (a[1] + b[1]) / 2, (a[2] + b[2]) / 2) for a, b in pairs] + points[len(points) // 2 * 2 :]
