"""One step of training, slowly: every number on the way forward, the loss, the way back, the update."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minidl.checks.gradcheck import gradcheck
from minidl.layers import Layer
from minidl.live.packed import images, maps, numbers
from minidl.losses import SoftmaxCrossEntropyLoss
from minidl.model import Model
from minidl.model.scores import softmax

SAMPLES = 12
"""Entries of each tensor that are compared with central differences."""
LOSS = "loss, at scores of size 1"
"""How the loss is named among the tensors."""
IMAGES = 8
"""So many images take part in a step, at most."""
SHOWN = 8
"""Numbers of each parameter that stand in the table: those that the step changes most."""


class SlowStep:
    """Steps of plain SGD with a copy of a model, on the same few images.

    model: is left as it is; a list of layers, one after the other. x: uint8 (N, C, H, W). y: (N,). names: of classes.
    """

    def __init__(self, model: Model, x: np.ndarray, y: np.ndarray, names: tuple[str, ...]) -> None:
        self.model = copy.deepcopy(model)
        self.pixels, self.y, self.names = x, y, names
        scale, shift = self.model.scaling(x)
        self.x = x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)
        self.loss = SoftmaxCrossEntropyLoss()
        self.steps = 0

    def step(self, lr: float) -> dict[str, Any]:
        """Forward, loss, backward, update, as the page shows them; p = p - lr * grad."""
        layers: list[Layer] = self.model.layers
        outputs = [self.x]
        for layer in layers:
            outputs.append(layer.forward(outputs[-1], train=True))
        value = self.loss.forward(outputs[-1], self.y)
        gradients = [self.loss.backward()]
        for layer in reversed(layers):
            gradients.append(layer.backward(gradients[-1]))
        gradients.reverse()
        named = self.model.named_parameters()
        rows = [self._updated(name, parameter, lr) for name, parameter in named.items()]
        self.steps += 1
        y = self.x
        for layer in layers:
            y = layer.forward(y, train=True)
        after = self.loss.forward(y, self.y)
        return {
            "step": self.steps,
            "lr": lr,
            "pixels": images(self.pixels),
            "truth": self.y.tolist(),
            "names": list(self.names),
            "layers": [self._row(i, layer, outputs, gradients) for i, layer in enumerate(layers)],
            "input": maps(gradients[0][0]),
            "scores": numbers(outputs[-1][0]),
            "probabilities": numbers(softmax(outputs[-1])[0]),
            "dscores": numbers(gradients[-1][0]),
            "loss": numbers(value),
            "after": numbers(after),
            "parameters": rows,
        }

    def _row(self, i: int, layer: Layer, outputs: list[np.ndarray], gradients: list[np.ndarray]) -> dict[str, Any]:
        """Output and gradient of a layer, of the first image."""
        return {
            "place": str(i),
            "text": repr(layer),
            "maps": maps(outputs[i + 1][0]),
            "gradient": maps(gradients[i + 1][0]),
        }

    def _updated(self, name: str, parameter: Any, lr: float) -> dict[str, Any]:
        """Update a parameter; its norms, and the numbers that change most."""
        before, grad = parameter.data.copy(), parameter.grad
        parameter.data[...] = before - np.asarray(lr, before.dtype) * grad
        flat = grad.ravel()
        largest = np.argsort(-np.abs(flat), kind="stable")[:SHOWN]
        entries = [
            {
                "where": [int(k) for k in np.unravel_index(i, grad.shape)],
                "before": numbers(before.flat[i]),
                "grad": numbers(grad.flat[i]),
                "after": numbers(parameter.data.flat[i]),
            }
            for i in largest.tolist()
        ]
        norm = float(np.sqrt(np.square(flat).sum(dtype=np.float64)))
        return {"name": name, "shape": list(grad.shape), "norm": numbers(norm), "entries": entries}

    def check(self) -> dict[str, Any]:
        """The gradients of the model and of the loss against central differences, in float64: a row a tensor."""
        scores = self.model.predict(self.pixels).astype(np.float64)
        # Behind a network that is sure of itself the loss hardly changes: the differences are rounding.
        scores = (scores - scores.mean()) / (scores.std() or 1.0)
        model = gradcheck(self.model, self.x, samples=SAMPLES)
        loss = gradcheck(self.loss, scores, self.y, samples=10 * SAMPLES)
        compared = model.rows
        if not all(row.checked for row in compared):
            # A bias moves all pixels, and takes some of them across a kink: such a tensor is moved by less.
            closer = gradcheck(self.model, self.x, eps=1e-6, samples=SAMPLES)
            compared = tuple(row if row.checked else near for row, near in zip(compared, closer.rows))
        rows = [
            {
                "name": name,
                "shape": list(row.shape),
                "checked": row.checked,
                "kinks": row.kinks,
                "where": list(row.where),
                "analytic": numbers(row.analytic),
                "numeric": numbers(row.numeric),
                "error": numbers(row.error),
                "passed": row.passed,
            }
            for name, row in [(row.name, row) for row in compared] + [(LOSS, row) for row in loss.rows]
        ]
        return {"rows": rows, "passed": all(row["passed"] for row in rows), "tolerance": model.tolerance}
