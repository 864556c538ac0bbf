"""scikit-learn's MLPClassifier: training steps and prediction of networks that are Linear and Relu alone."""

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from benchmarks import networks, tasks
from benchmarks.contenders import Contender
from benchmarks.shapes import Arrays
from benchmarks.tasks import Case, Unsupported


class Library:
    """Its matrix products are numpy's and scipy's; their threads follow the environment."""

    def __init__(self, contender: Contender, threads: int) -> None:
        self.version = f"scikit-learn {sklearn.__version__}"

    def prepare(self, task: tasks.Task) -> Case:
        """Training (a step is `partial_fit` on one batch) and Prediction (`predict_proba`)."""
        if not isinstance(task, (tasks.Training, tasks.Prediction)):
            raise Unsupported("only training steps and prediction")
        if not all(
            isinstance(layer, (networks.Flatten, networks.Linear, networks.Relu)) for layer in task.network.layers
        ):
            raise Unsupported("only Linear and Relu layers")
        n = task.batch if isinstance(task, tasks.Training) else task.images
        images, labels = task.network.batch_of(n)
        x = images.reshape(n, -1)
        model = build(task.network, x, labels)

        def logits() -> np.ndarray:
            return np.log(model.predict_proba(x))

        if isinstance(task, tasks.Prediction):
            return Case({"predict": lambda: model.predict_proba(x)}, lambda: {"logits": logits()})

        def outputs() -> Arrays:
            before = logits()
            model.partial_fit(x, labels)
            return {"logits": before, tasks.LATER: logits()}

        return Case({"forward": lambda: model.predict_proba(x), "step": lambda: model.partial_fit(x, labels)}, outputs)


def build(network: networks.Network, x: np.ndarray, labels: np.ndarray) -> MLPClassifier:
    """An MLPClassifier with the network's weights and its training parameters, made by an update with rate 0."""
    linear = [layer for layer in network.layers if isinstance(layer, networks.Linear)]
    model = MLPClassifier(
        hidden_layer_sizes=tuple(layer.out for layer in linear[:-1]),
        solver="sgd",
        alpha=tasks.WEIGHT_DECAY * len(x),
        batch_size=len(x),
        learning_rate_init=tasks.LEARNING_RATE,
        momentum=tasks.MOMENTUM,
        nesterovs_momentum=False,
        shuffle=False,
    )
    model.partial_fit(x, labels, classes=np.arange(network.classes))
    parameters = network.parameters()
    for i in range(len(linear)):
        model.coefs_[i][...] = parameters[2 * i].T
        model.intercepts_[i][...] = parameters[2 * i + 1]
    for velocity in model._optimizer.velocities:
        velocity[...] = 0
    return model
