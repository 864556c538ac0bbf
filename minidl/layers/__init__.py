"""Layers, one family a file: each checks its input, remembers what its backward needs and delegates to the backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.layers.activation import Elu, Gelu, LeakyRelu, Relu, Sigmoid, Tanh
from minidl.layers.base import Layer
from minidl.layers.container import Residual, Sequential
from minidl.layers.conv import Conv2D
from minidl.layers.dropout import Dropout
from minidl.layers.linear import Linear
from minidl.layers.norm import BatchNorm1D, BatchNorm2D
from minidl.layers.parameter import Parameter
from minidl.layers.pooling import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from minidl.layers.row_norm import GroupNorm, LayerNorm
from minidl.layers.shape import Flatten, Reshape
from minidl.support import lazy

if TYPE_CHECKING:
    from minidl.layers.capsule import CapsuleLength, Capsules, PrimaryCapsules

__getattr__ = lazy.importer(__name__, {"capsule": ("CapsuleLength", "Capsules", "PrimaryCapsules")})

__all__ = [
    "AvgPool2D",
    "BatchNorm1D",
    "BatchNorm2D",
    "CapsuleLength",
    "Capsules",
    "Conv2D",
    "Dropout",
    "Elu",
    "Flatten",
    "Gelu",
    "GlobalAvgPool2D",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "LeakyRelu",
    "Linear",
    "MaxPool2D",
    "Parameter",
    "PrimaryCapsules",
    "Relu",
    "Reshape",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Tanh",
]
