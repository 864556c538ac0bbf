"""The operations that every backend offers: signature, shapes, formula, tie and NaN rule.

A *backend* is a module with exactly the functions that the files of this folder state, which `assemble` collects out of
one module a family; their docstrings are those of every backend. `tests/kernels/test_contract.py` compares the
signatures.

Alphabet, the same in Python, Cython and C:

    N batch   C channels in   H W height and width in      O channels out   OH OW height and width out
    KH KW kernel   SH SW stride   PH PW padding   DH DW dilation   G groups   F features   d<name> gradient of <name>

Activations travel between operations as the backend's own *array*: a `numpy.ndarray` in NCHW for `reference` and
`im2col`, a `LaneArray` for `native`. Both have `.shape` (logical: (N, C, H, W), (N, F), of vectors (N, I, D)), `.ndim`
and `.dtype`.
`enter` and `leave` convert. Parameters, their gradients and statistics are plain C-contiguous numpy arrays in every
backend.

Sizes arrive as checked pairs of ints (see `checks`); callers outside minidl use `minidl.functional`, which checks.
All arrays of one call share one dtype, float32 or float64. N may be zero.
"""

from __future__ import annotations

from typing import Protocol

from minidl.kernels.contract.blocks import Blocks
from minidl.kernels.contract.boxes import Boxes
from minidl.kernels.contract.capsules import Capsules
from minidl.kernels.contract.layout import Layout
from minidl.kernels.contract.losses import Losses
from minidl.kernels.contract.norms import Norms
from minidl.kernels.contract.types import Array, Operand, Padding, Pair, Pool, Taps
from minidl.kernels.contract.updates import Updates
from minidl.kernels.contract.values import Values
from minidl.kernels.contract.windows import Windows

__all__ = ["Array", "Backend", "Operand", "Padding", "Pair", "Pool", "Taps"]


class Backend(Layout, Windows, Values, Norms, Capsules, Boxes, Losses, Updates, Blocks, Protocol):
    """What a backend module must offer. `name` is its name in `minidl.kernels.use`."""

    name: str
    fuses: bool
    """Whether `Sequential` should merge neighbouring layers into the *_block operations."""
