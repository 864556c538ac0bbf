"""Every operation as a function of plain NCHW arrays, on the backend in use (`minidl.kernels.use`).

Arrays may be anything that numpy makes a float32 or float64 array of: lists, views, Fortran order, foreign byte order,
read-only, memory-mapped. All arrays of one call have one dtype, which is the result's; integers are refused, for
nothing is converted in silence. Bad input is a ValueError or TypeError that names the operation, the value and the
rule. Results are new arrays of the caller's own. Gradients are called d + the name of what they belong to.
"""

from typing import TYPE_CHECKING

from minidl.functional.activation import *
from minidl.functional.arithmetic import *
from minidl.functional.arrange import *
from minidl.functional.boxes import *
from minidl.functional.capsule import *
from minidl.functional.conv import *
from minidl.functional.conv_transpose import *
from minidl.functional.dropout import *
from minidl.functional.elementwise import *
from minidl.functional.linear import *
from minidl.functional.local_response import *
from minidl.functional.loss import *
from minidl.functional.matmul import *
from minidl.functional.matrix import *
from minidl.functional.norm import *
from minidl.functional.pooling import *
from minidl.functional.reduce import *
from minidl.functional.resize import *
from minidl.functional.row_norm import *
from minidl.functional.sandwich import *
from minidl.functional.update import *

if not TYPE_CHECKING:  # a type checker follows the imports
    _homes = {name: getattr(value, "__module__", "").partition(f"{__name__}.")[2] for name, value in globals().items()}
    __all__ = sorted(name for name, home in _homes.items() if home and home[0] != "_")
