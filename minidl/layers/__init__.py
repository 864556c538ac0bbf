"""Layers, one family a file: each checks its input, remembers what its backward needs and delegates to the backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.layers.activation import *
from minidl.layers.base import *
from minidl.layers.container import *
from minidl.layers.conv import *
from minidl.layers.dropout import *
from minidl.layers.graph import *
from minidl.layers.linear import *
from minidl.layers.merge import *
from minidl.layers.norm import *
from minidl.layers.parameter import *
from minidl.layers.pooling import *
from minidl.layers.row_norm import *
from minidl.layers.shape import *
from minidl.support import lazy

if TYPE_CHECKING:
    from minidl.layers.capsule import *
    from minidl.layers.conv_transpose import *
    from minidl.layers.local_response import *
else:  # a type checker follows the imports
    _homes = {
        "capsule": ("CapsuleLength", "Capsules", "PrimaryCapsules"),
        "conv_transpose": ("ConvTranspose2D",),
        "local_response": ("LocalResponseNorm",),
    }
    _late = [name for names in _homes.values() for name in names]
    __getattr__ = lazy.importer(__name__, _homes)
    __all__ = sorted([*_late, *(name for name, value in globals().items() if isinstance(value, type)), "Input"])
