"""Operators whose inputs are all constants are computed once, while a file is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.onnx.computed import TABLE, Budget
from minidl.onnx.constant import Constant
from minidl.onnx.read import Operator
from minidl.onnx.refused import MISFITS, Refused

KEEPS = ("Identity", "Cast", "CastLike", "DequantizeLinear", "Transpose", "Reshape", "Squeeze", "Unsqueeze")
"""What leaves a trained weight one."""


def fold(operator: Operator, inputs: Sequence[Constant | None], budget: Budget) -> list[Constant]:
    """The outputs of an operator whose inputs are all constants. Raises `Refused`."""
    function = TABLE.get(operator.kind)
    if function is None:
        raise Refused("", "constants of this operator are not computed")
    found: list[list[np.ndarray]] = []
    fixed = all(each is None or each.fixed for each in inputs)
    for i in range(1 if fixed else 2):
        arrays = [None if each is None else each.arrays[i] for each in inputs]
        try:
            with np.errstate(all="ignore"):
                result = function(operator, budget, *arrays)
        except Refused:
            raise
        except MISFITS as error:
            if isinstance(error, TypeError) and "positional argument" in str(error):
                raise Refused("", f"inputs are missing, or too many: it has {len(arrays)}") from None
            raise Refused("", f"its constants do not fit together: {error}") from None
        results = result if isinstance(result, list) else [result]
        found.append([np.asarray(each) for each in results])
    trained = ""
    if operator.kind in KEEPS and inputs and inputs[0] is not None:
        trained = inputs[0].trained
    if fixed:
        return [Constant(each, trained=trained) for each in found[0]]
    return [Constant(first, second) for first, second in zip(*found)]
