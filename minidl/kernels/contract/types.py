"""What operations take and give."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
Arrays = Any
"""A plain ndarray, or several of them, as `together` has made of them."""
Pair = tuple[int, int]
Padding = Pair | tuple[Pair, Pair] | str
"""(PH, PW) on both sides, or ((top, bottom), (left, right)), or "same" or "same_lower": see `checks.margins`. PH and PW
in a formula are top and left; bottom and right count in the output's size alone."""
Operand = Any
"""An Array, or a plain ndarray of one image that goes with all images of the other one."""
Pool = tuple[Any, ...]
"""("max" | "avg", kernel_size, stride, padding) and what else the plain pooling's functions take, in their order."""
Taps = tuple[np.ndarray, np.ndarray]
"""index, intp, and weight, of the images' dtype, of one shape (size, taps): what each row or column is mixed from"""
