"""Checks that several operations share; those of sizes and single arrays stand in `minidl.kernels.checks`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import checks

Size = int | tuple[int, int]
Shape = tuple[int, ...]

OPTIONAL = ("b", "velocity")
"""The arrays that may be None."""


def floats(who: str, **arrays: Any) -> list[Any]:
    """The named arrays, in order, ready for a kernel and all of the first one's dtype; an optional None stays None."""
    checked: list[Any] = []
    for name, array in arrays.items():
        absent = array is None and name in OPTIONAL
        checked.append(None if absent else checks.float_array(who, name, array))
        if not absent and checked[-1].dtype != checked[0].dtype:
            rule = f"{next(iter(arrays))}'s dtype {checked[0].dtype}"
            raise TypeError(f"{who}: {name} must have {rule}, got {checked[-1].dtype}")
    return checked


def writeable(who: str, **arrays: Any) -> None:
    """Refuse arrays that cannot be changed in place; an optional None passes."""
    for name, array in arrays.items():
        if array is None and name in OPTIONAL:
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{who}: {name} is changed in place and must be a numpy array, got {type(array).__name__}")
        if not array.flags.writeable:
            raise ValueError(f"{who}: {name} is changed in place and must be writeable, got a read-only array")


def write_back(originals: list[Any], ready: list[Any]) -> None:
    """Carry what an operation changed in place into the caller's arrays, where `floats` had to copy them."""
    for original, array in zip(originals, ready, strict=True):
        if original is not None and original is not array:
            original[...] = array


def ndim(who: str, name: str, array: np.ndarray, rule: str, *allowed: int) -> None:
    """Refuse an array whose number of dimensions is not one of `allowed`; `rule` names the axes."""
    if array.ndim not in allowed:
        axes = " or ".join(map(str, allowed))
        raise ValueError(f"{who}: {name} must have {axes} dimensions {rule}, got shape {array.shape}")


def per_channel(who: str, channels: int, **arrays: Any) -> None:
    """Refuse arrays other than (channels,); a None passes."""
    for name, array in arrays.items():
        if array is not None:
            checks.same_shape(who, name, array.shape, (channels,), "one number a channel")


def image_shape(who: str, x_shape: Any) -> Shape:
    """`x_shape` as (N, C, H, W) ints."""
    if not isinstance(x_shape, (tuple, list)) or len(x_shape) != 4:
        raise ValueError(f"{who}: x_shape must be (N, C, H, W), got {x_shape!r}")
    return tuple(checks.integer(who, "x_shape", size, 0 if axis == 0 else 1) for axis, size in enumerate(x_shape))
