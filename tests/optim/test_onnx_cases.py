"""ONNX's own cases of optimisers: a step from given moments, R the rate, T the steps before.

Momentum  V' = alpha V + G, X' = X - R V', as SGD; Nesterov X' = X - R (G + alpha V')
Adam      X' = X - R V' / (sqrt(H') + eps) for T = 0: without the corrections 1 - alpha and 1 - beta of minidl's first
          step, which go into rate and eps here

Adagrad's two cases are left out: minidl has no such optimiser.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.layers.parameter import Parameter
from minidl.optim import Optimizer

pytest.importorskip("onnx.backend.test.loader")
from backend_of_onnx import node_cases
from onnx import helper

SLOTS = {"Momentum": ("velocity",), "Adam": ("mean", "square")}


def optimizer(kind: str, rate: float, settings: dict[str, Any]) -> Optimizer:
    alpha, beta, decay = (settings[name] for name in ("alpha", "beta", "norm_coefficient"))
    if kind == "Momentum":
        return minidl.SGD(rate, momentum=alpha, weight_decay=decay, nesterov=settings["mode"] == b"nesterov")
    root = math.sqrt(1 - beta)
    return minidl.Adam(rate * (1 - alpha) / root, alpha, beta, settings["epsilon"] / root, decay)


@pytest.mark.parametrize("kind", SLOTS)
def test_one_step(kind: str) -> None:
    cases = [each[1:] for each in node_cases() if each[0] == kind]
    assert len(cases) >= {"Momentum": 3, "Adam": 2}[kind]
    for name, case, (rate, before, *arrays), outputs in cases:
        settings = {each.name: helper.get_attribute_value(each) for each in case.model.graph.node[0].attribute}
        assert before == 0, name
        count = len(arrays) // (2 + len(SLOTS[kind]))
        values, gradients, *slots = (arrays[i : i + count] for i in range(0, len(arrays), count))
        parameters = [Parameter(value, f"p{i}") for i, value in enumerate(values)]
        state = {"steps": np.array(0)}
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients)):
            parameter.grad[...] = gradient
            state |= {f"p{i}.{slot}": given[i] for slot, given in zip(SLOTS[kind], slots)}
        made = optimizer(kind, float(rate), settings)
        made.load_state(state)
        made.step(parameters)
        found = made.state()
        given = [parameter.data for parameter in parameters]
        given += [found[f"p{i}.{slot}"] for slot in SLOTS[kind] for i in range(count)]
        assert len(given) == len(outputs)
        for a, b in zip(given, outputs):
            np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=name)
