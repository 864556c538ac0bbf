"""The `im2col` backend: compiled window kernels on NCHW arrays, numpy's matrix product, and vectorised numpy.

`minidl.kernels.contract` states each operation; the files of this folder mirror those of `reference`.
"""

import sys

from minidl.kernels import assemble, unfused

name = "im2col"
fuses = False

assemble.collect(
    __name__, [f"{__name__}.{family}" for family in assemble.FAMILIES], unfused.Blocks(sys.modules[__name__])
)
