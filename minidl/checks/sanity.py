"""The checks that CS231n advises before a long training, in one call."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from minidl import kernels
from minidl.layers.activation import Relu
from minidl.layers.base import Layer
from minidl.layers.dropout import Dropout
from minidl.layers.walk import label, reseed, trace, walk
from minidl.losses import Loss, SoftmaxCrossEntropyLoss
from minidl.model import Model
from minidl.optim import Adam
from minidl.support.table import Table, table
from minidl.training.beside import of_model
from minidl.training.samples import Batch, observe, prepare
from minidl.training.step import Step
from minidl.training.trainer import Trainer

BATCH = 256
"""Images that the first loss, the dead units and the gradients are measured on."""

SUBSET = 100
"""Images to overfit, as in CS231n."""

LARGEST = 20.0
"""What no input should exceed that is scaled, in absolute value."""


GRADES = ("ok", "note", "LOOK")


@dataclass(frozen=True)
class Finding:
    """One check: what was measured, what is expected, how it is judged, and what to do.

    grade: "ok"; "note" for what a training often mends by itself, or what only costs time; "LOOK" for what is most
    likely a fault. advice: what to do; "" where it is ok.
    """

    check: str
    value: str
    expected: str
    grade: str
    advice: str = ""

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return self.grade == "ok"


@dataclass(frozen=True)
class Report:
    """The result of `sanity_check`, true if nothing is graded LOOK; `print` shows a table, and what to do.

    first_loss: of the model as it is. losses_with_decay: with lambda/2 * sum of squared parameters, by lambda.
    overfit: accuracy (or share of the loss that went away, without classes) after training a copy on a small subset.
    dead: share of units never positive, by Relu. gradients: Euclidean norm by parameter.
    """

    findings: tuple[Finding, ...]
    first_loss: float
    losses_with_decay: dict[float, float]
    overfit: float
    dead: dict[str, float]
    gradients: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether no finding is graded LOOK."""
        return all(finding.grade != "LOOK" for finding in self.findings)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        worst = sorted((f for f in self.findings if f.advice), key=lambda f: -GRADES.index(f.grade))
        advice = [f"{f.grade} {f.check}: {f.advice}" for f in worst]
        return "\n".join([self.table(), *advice])

    def _repr_html_(self) -> str:
        advice = [f"{f.grade} {f.check}: {f.advice}" for f in self.findings if f.advice]
        return self.table("; ".join(advice))._repr_html_()

    def table(self, caption: str = "") -> Table:
        """The findings, one a line."""
        rows = [(f.check, f.value, f.expected, f.grade) for f in self.findings]
        return table(("check", "found", "expected", ""), rows, (0, 1, 2, 3), caption=caption)


def sanity_check(model: Model, loss: Loss, data: tuple[Any, Any], *, epochs: int = 60, seed: int = 0) -> Report:
    """Look at a fresh model before it is trained in earnest; it stays as it is, to the bit, as does the loss.

    data: (x, y) as `Trainer.fit` takes them; drawn from it by `seed`: BATCH images to measure on, SUBSET to overfit.
    epochs: of Adam on the subset, in batches of 20.

    1. What the first layer sees lies within some standard deviations of 0: no pixels up to 255, mean and std on the
       scale from 0 to 1, and float images scaled as the model's mean and std say.
    2. The first loss of softmax cross-entropy is about log(classes): every class is as likely as the next one. A note
       up to three times that; LOOK beyond.
    3. The loss rises with weight decay.
    4. A copy of the model overfits a small subset: accuracy at least 99 %, or the loss falls below 5 % without classes.
       Dropout is left out of it. A note from 90 %, or if the loss falls to less than half; else LOOK.
    5. Of each Relu less than half of the units (channels, features) are dead: never positive on the batch. A note up to
       nine tenths; LOOK beyond.
    6. Each parameter that is not frozen has a gradient that is finite and not zero.
    Raises TypeError or ValueError that names data, layer or loss if they do not go together.
    """
    rng = np.random.default_rng(seed)
    samples = prepare("sanity", data, model, loss)
    copied = copy.deepcopy(model)
    loss = of_model(copy.copy(loss), model, copied)
    observe(samples, copied, loss)
    if isinstance(loss, SoftmaxCrossEntropyLoss) and loss.factors is not None:
        loss = SoftmaxCrossEntropyLoss(loss.label_smoothing, loss.factors)  # a few images may lack classes
    reseed(copied, seed)
    some = Batch(samples, rng.permutation(np.arange(len(samples.images), dtype=np.intp))[:BATCH])

    first, dead = _forward(copied, loss, some)
    classes = model.output_shape(samples.images.shape[1:])[0] if isinstance(loss, SoftmaxCrossEntropyLoss) else 0
    squares = sum(float(np.sum(np.square(p.data, dtype=np.float64))) for p in copied.parameters())
    costs = {decay: first + decay / 2 * squares for decay in (0.0, 1e-4, 1e-2)}
    gradients = _gradients(copied, loss, some)
    frozen = {p.name for p in copied.parameters() if p.frozen}
    few = rng.permutation(np.arange(len(samples.images), dtype=np.intp))[:SUBSET]
    overfit, finding = _overfit(copied, loss, (samples.images[few], samples.y[few]), epochs, seed)
    findings = [_input(model, some), _first_loss(first, classes), _decay(list(costs.values())), finding]
    findings += [_dead(name, share) for name, share in dead.items()]
    findings += [_gradient(name, norm) for name, norm in gradients.items() if name not in frozen]
    return Report(tuple(findings), first, costs, overfit, dead, gradients)


def _input(model: Model, batch: Batch) -> Finding:
    """What the first layer sees."""
    x = np.asarray(kernels.current().leave(batch.enter()), np.float64)
    images = batch.samples.images
    mean, std, most = float(x.mean()), float(x.std()), float(np.abs(x).max(initial=0))
    value = f"mean {mean:.3g}, std {std:.3g}, largest {most:.3g}"
    expected = f"mean and std of the order of 1, below {LARGEST:g}"
    own = bool(model.mean.any() or (model.std != 1).any())
    grade, advice = "ok", ""
    if images.dtype == np.uint8:
        if max(np.abs(model.mean).max(), model.std.max()) > 1:
            grade, advice = "LOOK", "mean and std belong to the scale from 0 to 1: divide those of 0..255 by 255"
    elif most > LARGEST and images.ndim == 4:
        grade, advice = "LOOK", "float images are used as they are: divide pixels of 0..255 by 255, or give uint8"
    elif own and images.min() >= 0:
        advice = "float input is not scaled by the model's mean and std: give uint8, or (x - mean) / std"
        grade = "note"
    if grade == "ok" and most > LARGEST:
        grade, advice = "note", "standardise the columns: subtract their mean, divide by their standard deviation"
    if grade == "ok" and std < 1e-2:
        grade, advice = "note", "the images hardly differ: are they what you think, and scaled once only?"
    return Finding("input of the first layer", value, expected, grade, advice)


def _first_loss(first: float, classes: int) -> Finding:
    """classes: of softmax cross-entropy, else 0."""
    name, value = "first loss", f"{first:.4f}"
    if not math.isfinite(first):
        return Finding(name, value, "finite", "LOOK", "look for inputs or weights that are too large, or no numbers")
    if not classes:
        return Finding(name, value, "finite", "ok")
    usual = math.log(classes)
    expected, margin = f"log(classes) = {usual:.4f}, within 0.5 + 10 %", 0.5 + 0.1 * usual
    if abs(first - usual) <= margin:
        return Finding(name, value, expected, "ok")
    if first < usual:
        return Finding(name, value, expected, "note", "the model knows something already: it is not fresh")
    advice = "start the last layer smaller (init=0.01), or normalise before it; its first steps only undo its start"
    return Finding(name, value, expected, "note" if first <= 3 * usual + margin else "LOOK", advice)


def _decay(costs: list[float]) -> Finding:
    rising = all(a < b for a, b in pairwise(costs))
    name, text = "loss with weight decay 0, 1e-4, 1e-2", ", ".join(f"{cost:.4f}" for cost in costs)
    advice = "" if rising else "the parameters are all zero, or no numbers: initialise them at random"
    return Finding(name, text, "rises", "ok" if rising else "LOOK", advice)


def _dead(name: str, share: float) -> Finding:
    grade = "ok" if share < 0.5 else "note" if share < 0.9 else "LOOK"
    advice = "" if grade == "ok" else "normalise before it, use init='he' and a bias of 0, or LeakyRelu"
    if grade == "note":
        advice = f"it learns with the other units; if it stays so after training, {advice}"
    return Finding(f"dead units of {name}", f"{share:.1%}", "below 50 %", grade, advice)


def _gradient(name: str, norm: float) -> Finding:
    good = 0 < norm < math.inf
    advice = "nothing of the loss reaches it: a dead layer behind it, or one that is all zero, or not called"
    if not math.isfinite(norm):
        advice = "look for inputs or weights that are too large, or no numbers"
    value = f"{norm:.3g}"
    return Finding(
        f"gradient norm of {name}", value, "finite, not zero", "ok" if good else "LOOK", "" if good else advice
    )


def _forward(model: Model, loss: Loss, batch: Batch) -> tuple[float, dict[str, float]]:
    """The loss of a batch, and the share of each Relu's units that are never positive on it."""
    backend = kernels.current()
    dead: dict[str, float] = {}

    def visit(place: str, layer: Layer, y: Any) -> None:
        if isinstance(layer, Relu):
            active = backend.leave(y) > 0
            # A unit is a channel of a map, or a feature: all axes but the second are looked through.
            dead[label(place, layer)] = 1 - float(active.any(axis=(0, *range(2, active.ndim))).mean())

    first, _ = Step(model, loss).forward(batch, scores=lambda batch: trace(model, batch.enter(), False, visit))
    return first, dead


def _gradients(model: Model, loss: Loss, batch: Batch) -> dict[str, float]:
    """Euclidean norm of each parameter's gradient on a batch."""
    step = Step(model, loss)
    step.forward(batch, train=True)
    step.backward()
    model.release()
    return {p.name: float(np.sqrt(np.sum(np.square(p.grad, dtype=np.float64)))) for p in step.parameters}


def _overfit(model: Model, loss: Loss, data: Any, epochs: int, seed: int) -> tuple[float, Finding]:
    """Train the model on a few images until it knows them by heart -> accuracy or share of the loss gone, finding."""
    for layer in walk(model):
        if isinstance(layer, Dropout):
            layer.rate = 0.0
    trainer = Trainer(model, loss, Adam(lr=0.001))
    before = trainer.evaluate(data)["loss"]
    name = f"overfitting {len(data[0])} images, {epochs} epochs"
    try:
        history = trainer.fit(data, epochs=epochs, batch_size=20, seed=seed, verbose=False)
    except FloatingPointError as error:
        return math.nan, Finding(name, str(error), "no NaN", "LOOK", "mend what the other lines name first")
    accuracy, left = history["train_accuracy"][-1], history["train_loss"][-1] / before
    if accuracy == accuracy:
        reached, good, value = accuracy, accuracy >= 0.99, f"accuracy {accuracy:.1%}"
        expected = "at least 99 %"
    else:
        reached, good, value = 1 - left, left < 0.05, f"{left:.1%} of the first loss left"
        expected = "below 5 %"
    if good:
        return reached, Finding(name, value, expected, "ok")
    if left < 0.5 or accuracy >= 0.9:
        advice = "it learns, but slowly: ask again with more epochs=, or give it normalisation or a better start"
        return reached, Finding(name, value, expected, "note", advice)
    advice = (
        "it does not even learn these few by heart: look at the targets' order, the loss, and layers without gradient"
    )
    return reached, Finding(name, value, expected, "LOOK", advice)
