"""The checks that CS231n advises before a long training, in one call."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
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
from minidl.support.table import table
from minidl.training.samples import Batch, prepare
from minidl.training.step import Step
from minidl.training.trainer import Trainer

BATCH = 256
"""Images that the first loss, the dead units and the gradients are measured on."""

SUBSET = 100
"""Images to overfit, as in CS231n."""


@dataclass(frozen=True)
class Finding:
    """One check: what was measured, what is expected, and whether it is so."""

    check: str
    value: str
    expected: str
    passed: bool


@dataclass(frozen=True)
class Report:
    """The result of `sanity_check`, true if every check passed; `print` shows a table.

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
        """Whether every check passed."""
        return all(finding.passed for finding in self.findings)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        rows = [(f.check, f.value, f.expected, "ok" if f.passed else "LOOK") for f in self.findings]
        return table(("check", "found", "expected", ""), rows, (0, 1, 2, 3))


def sanity_check(model: Model, loss: Loss, data: tuple[Any, Any], *, epochs: int = 60, seed: int = 0) -> Report:
    """Look at a fresh model before it is trained in earnest; it stays as it is, to the bit.

    data: (x, y) as `Trainer.fit` takes them; drawn from it by `seed`: BATCH images to measure on, SUBSET to overfit.
    epochs: of Adam on the subset, in batches of 20.

    1. The first loss of softmax cross-entropy is about log(classes): every class is as likely as the next one.
    2. The loss rises with weight decay.
    3. A copy of the model overfits a small subset: accuracy at least 99 %, or the loss falls below 5 % without classes.
       Dropout is left out of it.
    4. Of each Relu less than half of the units (channels, features) are dead: never positive on the batch.
    5. Each parameter has a gradient that is finite and not zero.
    Raises TypeError or ValueError that names data, layer or loss if they do not go together.
    """
    rng = np.random.default_rng(seed)
    samples = prepare("sanity", data, model, loss)
    copied = copy.deepcopy(model)
    reseed(copied, seed)
    some = Batch(samples, rng.permutation(len(samples.images))[:BATCH])

    findings = []
    first, dead = _forward(copied, loss, some)
    if isinstance(loss, SoftmaxCrossEntropyLoss):
        usual = math.log(model.output_shape(samples.images.shape[1:])[0])
        near = abs(first - usual) <= 0.5 + 0.1 * usual
        findings.append(Finding("first loss", f"{first:.4f}", f"log(classes) = {usual:.4f}, within 0.5 + 10 %", near))
    else:
        findings.append(Finding("first loss", f"{first:.4f}", "finite", math.isfinite(first)))

    squares = sum(float(np.sum(np.square(p.data, dtype=np.float64))) for p in copied.parameters())
    costs = {decay: first + decay / 2 * squares for decay in (0.0, 1e-4, 1e-2)}
    rising = all(a < b for a, b in zip(list(costs.values()), list(costs.values())[1:], strict=False))
    text = ", ".join(f"{cost:.4f}" for cost in costs.values())
    findings.append(Finding("loss with weight decay 0, 1e-4, 1e-2", text, "rises", rising))

    gradients = _gradients(copied, loss, some)
    few = rng.permutation(len(samples.images))[:SUBSET]
    overfit, finding = _overfit(copied, loss, (np.asarray(data[0])[few], np.asarray(data[1])[few]), epochs, seed)
    findings.append(finding)
    findings += [
        Finding(f"dead units of {name}", f"{share:.1%}", "below 50 %", share < 0.5) for name, share in dead.items()
    ]
    findings += [
        Finding(f"gradient norm of {name}", f"{norm:.3g}", "finite, not zero", 0 < norm < math.inf)
        for name, norm in gradients.items()
    ]
    return Report(tuple(findings), first, costs, overfit, dead, gradients)


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
        return math.nan, Finding(name, str(error), "no NaN", False)
    accuracy, left = history["train_accuracy"][-1], history["train_loss"][-1] / before
    if accuracy == accuracy:
        return accuracy, Finding(name, f"accuracy {accuracy:.1%}", "at least 99 %", accuracy >= 0.99)
    return 1 - left, Finding(name, f"{left:.1%} of the first loss left", "below 5 %", left < 0.05)
