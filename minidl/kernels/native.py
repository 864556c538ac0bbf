"""The native backend: one image per vector lane, compiled for several instruction sets, threaded.

The operations are bound in `minidl/_ext/`; how they work is told in docs/kernels/. Environment: MINIDL_ISA ("avx512",
"avx2", "baseline") forces an instruction set, MINIDL_NUM_THREADS (else OMP_NUM_THREADS) the number of threads.
"""

from __future__ import annotations

import os

from minidl._ext.lanearray import config, get_num_threads, isa, isas, set_num_threads, use_isa, use_winograd
from minidl.kernels import assemble
from minidl.support import processors

name = "native"
fuses = True
compiles = True
"""Whether predictions can be compiled: see `minidl.compiled`."""

_bound = [f"minidl._ext.{family}" for family in assemble.FAMILIES if family != "matrix"]
assemble.collect(__name__, ["minidl._ext.lanearray", *_bound, "minidl.kernels.im2col.matrix"])

set_num_threads(processors.wanted_threads(os.environ))
if os.environ.get("MINIDL_ISA"):
    use_isa(os.environ["MINIDL_ISA"])
