# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Elementwise functions of the native backend: what stands in core/element.h. See `minidl.kernels.contract`."""

from minidl._ext.activation cimport activate, gradient
from minidl._ext.lanearray cimport LaneArray

cdef extern from "core/kernels.h" nogil:
    enum: ELEMENT_CLIP, ELEMENT_HARD_TANH, ELEMENT_HARD_SIGMOID, ELEMENT_HARD_SWISH, ELEMENT_SILU, ELEMENT_SELU
    enum: ELEMENT_MISH, ELEMENT_GELU_TANH, ELEMENT_SOFTSIGN, ELEMENT_EXP, ELEMENT_LOG, ELEMENT_SQRT, ELEMENT_POW
    enum: ELEMENT_ERF, ELEMENT_ABS, ELEMENT_NEG, ELEMENT_RECIPROCAL


cdef dict KINDS = {
    "clip": ELEMENT_CLIP,
    "hard_tanh": ELEMENT_HARD_TANH,
    "hard_sigmoid": ELEMENT_HARD_SIGMOID,
    "hard_swish": ELEMENT_HARD_SWISH,
    "silu": ELEMENT_SILU,
    "selu": ELEMENT_SELU,
    "mish": ELEMENT_MISH,
    "gelu_tanh": ELEMENT_GELU_TANH,
    "softsign": ELEMENT_SOFTSIGN,
    "exp": ELEMENT_EXP,
    "log": ELEMENT_LOG,
    "sqrt": ELEMENT_SQRT,
    "pow": ELEMENT_POW,
    "erf": ELEMENT_ERF,
    "abs": ELEMENT_ABS,
    "neg": ELEMENT_NEG,
    "reciprocal": ELEMENT_RECIPROCAL,
}


cdef int element_of(str kind) except -1:
    found = KINDS.get(kind)
    if found is None:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return found


def elementwise_forward(LaneArray x, str kind, double a, double b):
    return activate(element_of(kind), x, a, b)


def elementwise_backward(LaneArray dy, LaneArray x, str kind, double a, double b):
    return gradient(element_of(kind), dy, x, a, b, "x")
