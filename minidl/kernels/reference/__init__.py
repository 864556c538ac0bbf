"""The specification as a backend: the textbook's loops over NCHW arrays, float32 and float64, slow and never clever.

`minidl.kernels.contract` states each operation; the files of this folder spell them out, forward beside backward.
"""

import sys

from minidl.kernels import assemble, unfused

name = "reference"
fuses = False

assemble.collect(
    __name__, [f"{__name__}.{family}" for family in assemble.FAMILIES], unfused.Blocks(sys.modules[__name__])
)
