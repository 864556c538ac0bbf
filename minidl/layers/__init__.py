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
    from minidl.layers.arithmetic import *
    from minidl.layers.boxes import *
    from minidl.layers.capsule import *
    from minidl.layers.concat import *
    from minidl.layers.conv_transpose import *
    from minidl.layers.elementwise import *
    from minidl.layers.local_response import *
    from minidl.layers.matmul import *
    from minidl.layers.reduce import *
    from minidl.layers.resize import *
else:  # a type checker follows the imports
    _late = {
        "arithmetic": ("Affine", "Arithmetic", "Div", "Mul", "PRelu", "Sub"),
        "boxes": ("ChannelShuffle", "Pad2D", "PixelShuffle", "PixelUnshuffle", "Slice", "Transpose"),
        "capsule": ("CapsuleLength", "Capsules", "PrimaryCapsules"),
        "concat": ("Concat", "Split"),
        "conv_transpose": ("ConvTranspose2D",),
        "elementwise": ("Clip", "Elementwise", "HardSigmoid", "HardSwish", "Mish", "Relu6", "Selu", "Silu"),
        "local_response": ("LocalResponseNorm",),
        "matmul": ("MatMul",),
        "reduce": ("LogSoftmax", "Max", "Mean", "Softmax", "Sum"),
        "resize": ("Upsample",),
    }
    __getattr__ = lazy.importer(__name__, _late)
    __all__ = sorted(
        [
            *(late for names in _late.values() for late in names),
            *(name for name, value in globals().items() if isinstance(value, type)),
            "Input",
        ]
    )
