"""Capsules, which ONNX does not know, by operators that it knows."""

from __future__ import annotations

import math
from typing import Any

from minidl.layers.capsule import CapsuleLength, Capsules, PrimaryCapsules
from minidl.onnx.draft import Draft, Value
from minidl.onnx.writers.table import writes

SQUASH = "Mul ReduceSum Sqrt Add Div"


@writes(PrimaryCapsules, operators=f"Reshape Transpose {SQUASH}")
def primary_capsules(draft: Draft, layer: PrimaryCapsules, x: Value) -> Any:
    """The values of a capsule side by side, squashed."""
    types, pixels = x.shape[0] // layer.dim, math.prod(x.shape[1:])
    maps = draft.add("Reshape", x, [0, types, layer.dim, pixels])
    turned = draft.add("Transpose", maps, perm=(0, 1, 3, 2))
    return squash(draft, draft.add("Reshape", turned, [0, types * pixels, layer.dim]))


@writes(Capsules, operators=f"Unsqueeze MatMul Reshape Softmax {SQUASH}")
def capsules(draft: Draft, layer: Capsules, u: Value) -> Any:
    """Routing by agreement, its passes one after the other."""
    I, J, E, D = layer.weight.data.shape
    weight = draft.shaped(layer.weight.data, (I, J * E, D))
    votes = draft.add("MatMul", weight, draft.add("Unsqueeze", u, [3]))  # (I, J*E, D) (N, I, D, 1)
    votes = draft.add("Reshape", votes, [0, I, J, E])
    shares = draft.add("Mul", votes, 1 / J)
    logits = None
    for i in range(layer.routings):
        if logits is not None:
            shares = draft.add("Mul", votes, draft.add("Softmax", logits, axis=2))
        v = squash(draft, draft.add("ReduceSum", shares, [1], keepdims=1))
        if i < layer.routings - 1:
            agreement = draft.add("ReduceSum", draft.add("Mul", votes, v), [3], keepdims=1)
            logits = agreement if logits is None else draft.add("Add", logits, agreement)
    return draft.add("Reshape", v, [0, J, E])


@writes(CapsuleLength, operators="Mul ReduceSum Sqrt")
def capsule_length(draft: Draft, layer: CapsuleLength, x: Value) -> Any:
    """The root of the sum of squares."""
    return draft.add("Sqrt", draft.add("ReduceSum", draft.add("Mul", x, x), [2], keepdims=0))


def squash(draft: Draft, s: str) -> Any:
    """s |s| / (1 + |s|^2) over the last axis."""
    squares = draft.add("ReduceSum", draft.add("Mul", s, s), [-1], keepdims=1)
    factor = draft.add("Div", draft.add("Sqrt", squares), draft.add("Add", squares, 1.0))
    return draft.add("Mul", s, factor)
