"""ONNX's own cases of losses, against the cross-entropy.

A loss over pixels is one over rows, a pixel each. A label that is to be ignored is a row of weight 0. The sum of the
losses is the mean times what it was divided by; each row alone gives each loss. NegativeLogLikelihoodLoss takes any
numbers for logarithms of probabilities: the cross-entropy of x is that loss plus log sum exp(x), which is 0 for these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.backend.test.loader")
from backend_of_onnx import node_cases
from onnx import helper


@pytest.mark.parametrize(("kind", "least"), [("NegativeLogLikelihoodLoss", 18), ("SoftmaxCrossEntropyLoss", 34)])
def test_losses(kind: str, least: int) -> None:
    cases = [each[1:] for each in node_cases() if each[0] == kind]
    assert len(cases) >= least
    for name, case, inputs, outputs in cases:
        settings = {each.name: helper.get_attribute_value(each) for each in case.model.graph.node[0].attribute}
        found = losses(kind == "NegativeLogLikelihoodLoss", inputs, settings)
        np.testing.assert_allclose(found, outputs[0], rtol=case.rtol, atol=1e-6, err_msg=name)
        if len(outputs) > 1:
            log = minidl.LogSoftmax().forward(pixels(inputs[0]))
            np.testing.assert_allclose(log, pixels(outputs[1]), rtol=case.rtol, atol=1e-6, err_msg=name)


def pixels(x: np.ndarray) -> np.ndarray:
    """(N, C, ...) as rows of C numbers."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def losses(of_logarithms: bool, inputs: list[np.ndarray], settings: dict[str, Any]) -> Any:
    """What a node with these settings gives for scores, labels and weights of the classes."""
    rows, labels = pixels(inputs[0]), inputs[1]
    classes = inputs[2] if len(inputs) > 2 else None
    loss = minidl.SoftmaxCrossEntropyLoss(class_weight=classes)
    used = labels.ravel() != settings.get("ignore_index", np.iinfo(np.int64).min)
    targets = np.where(used, labels.ravel(), 0)
    shares = used * (np.ones(len(rows)) if classes is None else classes.astype(np.float64)[targets])
    more = np.log(np.exp(rows.astype(np.float64)).sum(1)) if of_logarithms else np.zeros(len(rows))
    reduction = settings.get("reduction", b"mean")
    if reduction == b"none":
        each = [loss.forward(rows[n : n + 1], targets[n : n + 1]) for n in range(len(rows))]
        return ((np.array(each) - more) * shares).reshape(labels.shape)
    mean = loss.forward(rows, targets, used.astype(rows.dtype)) - more @ shares / shares.sum()
    return mean * shares.sum() if reduction == b"sum" else mean
