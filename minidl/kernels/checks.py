"""Sizes of windows and the checks before every kernel: each error names the layer, the value and the rule."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Pair = tuple[int, int]
Size = int | Pair
Sides = tuple[Pair, Pair]
Padding = Pair | Sides | str
Shape = tuple[int, ...]

AXES = "height", "width"
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
MAX_ELEMENTS = 2**46
"""No array of minidl has more elements: byte offsets then fit in 63 bits with room for lanes and padding."""
OPTIONAL = ("b", "velocity")
"""The arrays of operations that may be None."""


def integer(who: str, name: str, value: Any, minimum: int) -> int:
    """`value` as an int of at least `minimum`; bools and floats are refused."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{who}: {name} must be an int, got {shown(value)}") from None
    if number < minimum:
        raise ValueError(f"{who}: {name} must be at least {minimum}, got {shown(number)}")
    if number > 2**31 - 1:
        raise ValueError(f"{who}: {name} must be below 2**31, got {shown(number)}")
    return number


def real(who: str, name: str, value: Any, rule: str, holds: Callable[[float], bool]) -> float:
    """`value` as a finite float for which `holds` is true; `rule` says it in words, as in "must be {rule}"."""
    number = real_or_infinite(who, name, value)
    if not (math.isfinite(number) and holds(number)):
        raise ValueError(f"{who}: {name} must be {rule}, got {shown(value)}")
    return number


def real_or_infinite(who: str, name: str, value: Any) -> float:
    """`value` as a float; an int beyond all floats is an infinite one."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{who}: {name} must be a number, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def shown(value: Any) -> str:
    """`repr(value)` for a message, also of what Python does not write: ints of too many digits, lists too deep."""
    try:
        return repr(value)
    except (RecursionError, ValueError):
        return f"{type(value).__name__} that is too large to be shown"


def one_of(who: str, name: str, value: Any, allowed: Sequence[str]) -> str:
    """`value`, which is one of the words that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{who}: {name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return str(value)


def pair(who: str, name: str, value: Any, minimum: int) -> Pair:
    """An int, or an (h, w) pair of ints, as a pair; each at least `minimum`."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{who}: {name} must be an int or an (h, w) pair, got {value!r}")
        return integer(who, name, value[0], minimum), integer(who, name, value[1], minimum)
    number = integer(who, name, value, minimum)
    return number, number


def window_output(
    who: str,
    size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Pair:
    """Output height and width of a sliding window: (size + margins - dilation*(kernel - 1) - 1) // stride + 1.

    ceil_mode: the quotient is rounded up, but no window starts behind the input (PyTorch's rule).
    """
    out = []
    sides = margins(padding, size, kernel_size, stride, dilation)
    for axis, n, k, s, (p, q), d in zip(AXES, size, kernel_size, stride, sides, dilation):
        if n < 1 or k < 1:
            raise ValueError(f"{who}: the input's and the kernel's {axis} must be at least 1, got {n} and {k}")
        reach = d * (k - 1) + 1
        if reach > n + p + q:
            raise ValueError(
                f"{who}: the kernel's {axis} {reach} (kernel {k}, dilation {d}) must fit into the padded input's"
                f" {axis} {n + p + q} (input {n}, padding {p if p == q else (p, q)})"
            )
        steps = (n + p + q - reach + (s - 1 if ceil_mode else 0)) // s
        out.append(steps + (not ceil_mode or steps * s < n + p))
    return out[0], out[1]


def margins(padding: Padding, size: Pair, kernel_size: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Sides:
    """A checked padding as ((top, bottom), (left, right)) for an input of this size.

    "same", "same_lower": so many zeros that ceil(size / stride) windows stand in them and the input, half of them
    before it; where their number is odd, "same" has one more behind it, "same_lower" one more before it. (TensorFlow's
    rule, ONNX's SAME_UPPER and SAME_LOWER.)
    """
    if isinstance(padding, str):
        reach = extent(kernel_size, dilation)
        zeros = [max((-(-n // s) - 1) * s + r - n, 0) for n, r, s in zip(size, reach, stride)]
        (h, hh), (w, ww) = ((z // 2, z - z // 2) for z in zeros)
        return ((h, hh), (w, ww)) if padding == "same" else ((hh, h), (ww, w))
    high, wide = padding
    return (high, high) if isinstance(high, int) else high, (wide, wide) if isinstance(wide, int) else wide


def extent(kernel_size: Pair, dilation: Pair) -> Pair:
    """Height and width of a window with its gaps, DH (KH - 1) + 1."""
    (KH, KW), (DH, DW) = kernel_size, dilation
    return DH * (KH - 1) + 1, DW * (KW - 1) + 1


def channel_groups(who: str, groups: int, in_channels: int, out_channels: int) -> None:
    """Refuse groups that do not divide both numbers of channels."""
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{who}: groups must divide in_channels and out_channels, got groups {groups},"
            f" channels {in_channels} and {out_channels}"
        )


def window_padding(who: str, padding: Any, kernel_size: Pair, stride: Size, dilation: Size = 1) -> Padding:
    """`padding` as the contract has it, in its shortest form: (PH, PW) where opposite sides are equal.

    An int, an (h, w) pair, ((top, bottom), (left, right)), "valid" for 0, "same" or "same_lower", which stay as they
    are where the stride is not 1: they depend on the input's size, see `margins`.
    """
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0
        if padding not in ("same", "same_lower"):
            rule = 'an int, an (h, w) pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"'
            raise ValueError(f"{who}: padding must be {rule}, got {padding!r}")
        if pair(who, "stride", stride, 1) != (1, 1):
            return padding
        sides = margins(padding, (1, 1), kernel_size, (1, 1), pair(who, "dilation", dilation, 1))
    elif isinstance(padding, (tuple, list)) and any(isinstance(side, (tuple, list)) for side in padding):
        if [len(side) if isinstance(side, (tuple, list)) else 0 for side in padding] != [2, 2]:
            raise ValueError(f"{who}: padding of four sides must be ((top, bottom), (left, right)), got {padding!r}")
        (top, bottom), (left, right) = (pair(who, "padding", side, 0) for side in padding)
        sides = (top, bottom), (left, right)
    else:
        return pair(who, "padding", padding, 0)
    (top, bottom), (left, right) = sides
    return (top, left) if top == bottom and left == right else sides


def conv_window(
    who: str, stride: Size, padding: Any, dilation: Size, groups: int, kernel_size: Pair = (1, 1)
) -> tuple[Pair, Padding, Pair, int]:
    """The four settings of a convolution; kernel_size: of its weights, for a padding in words."""
    steps, spread = pair(who, "stride", stride, 1), pair(who, "dilation", dilation, 1)
    around = window_padding(who, padding, kernel_size, steps, spread)
    return steps, around, spread, integer(who, "groups", groups, 1)


def pool_window(
    who: str, kernel_size: Size, stride: Size | None, padding: Any, dilation: Size = 1
) -> tuple[Pair, Pair, Padding]:
    """Kernel, stride (the kernel's size where None) and padding of a pooling."""
    kernel, spread = pair(who, "kernel_size", kernel_size, 1), pair(who, "dilation", dilation, 1)
    steps = kernel if stride is None else pair(who, "stride", stride, 1)
    around = window_padding(who, padding, kernel, steps, spread)
    pool2d_padding(who, kernel, around, spread)
    return kernel, steps, around


def flag(who: str, name: str, value: Any) -> bool:
    """`value`, which must be a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{who}: {name} must be True or False, got {value!r}")
    return bool(value)


def conv2d_output(
    who: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> tuple[int, int, int, int]:
    """(N, O, OH, OW) of a convolution after checking that the shapes go together."""
    if len(x_shape) != 4:
        raise ValueError(f"{who}: input must have 4 dimensions (N, C, H, W), got shape {tuple(x_shape)}")
    if len(w_shape) != 4:
        raise ValueError(f"{who}: weights must have 4 dimensions (O, C/groups, KH, KW), got shape {tuple(w_shape)}")
    n, c, h, w = x_shape
    o, cg, kh, kw = w_shape
    if min(c, o) < 1:
        raise ValueError(f"{who}: input and output must have at least 1 channel, got {c} and {o}")
    if c != cg * groups:
        rule = f"{cg * groups} channels (shape (N, {cg * groups}, H, W))"
        raise ValueError(f"{who}: input must have {rule}, got {c} in shape {tuple(x_shape)}")
    if o % groups:
        raise ValueError(f"{who}: out_channels must be divisible by groups, got {o} and {groups}")
    oh, ow = window_output(who, (h, w), (kh, kw), stride, padding, dilation)
    high, wide = margins(padding, (h, w), (kh, kw), stride, dilation)
    check_elements(who, (n, c, h + sum(high), w + sum(wide)))
    check_elements(who, (n, o, oh, ow))
    return n, o, oh, ow


def pool2d_output(
    who: str,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[int, int, int, int]:
    """(N, C, OH, OW) of a pooling, none of whose windows may lie in padding alone."""
    if len(x_shape) != 4:
        raise ValueError(f"{who}: input must have 4 dimensions (N, C, H, W), got shape {tuple(x_shape)}")
    pool2d_padding(who, kernel_size, padding, dilation)
    n, c, h, w = x_shape
    if c < 1:
        raise ValueError(f"{who}: input must have at least 1 channel, got shape {tuple(x_shape)}")
    oh, ow = window_output(who, (h, w), kernel_size, stride, padding, dilation, ceil_mode)
    high, wide = margins(padding, (h, w), kernel_size, stride, dilation)
    for axis, size, k, s, d, (p, _), count in zip(AXES, (h, w), kernel_size, stride, dilation, (high, wide), (oh, ow)):
        # Only a window that starts before the input can step over all of it.
        if size < d and any(start % d >= size for start in range(-p, min(0, count * s - p), s)):
            rule = "each window must hold a pixel"
            raise ValueError(f"{who}: {rule}, got {axis} {size} for kernel {k}, dilation {d}, padding {p}")
    check_elements(who, (n, c, h + sum(high), w + sum(wide)))
    return n, c, oh, ow


def pool2d_padding(who: str, kernel_size: Pair, padding: Padding, dilation: Pair = (1, 1)) -> None:
    """Refuse a padding that would let a window lie in padding alone."""
    if isinstance(padding, str):
        return
    sides = margins(padding, (1, 1), kernel_size, (1, 1), dilation)
    for axis, k, d, p in zip(AXES, kernel_size, dilation, map(max, sides)):
        if p > d * (k - 1):
            rule = f"smaller than the kernel's {axis}"
            raise ValueError(f"{who}: padding must be {rule}, got padding {p} and kernel {d * (k - 1) + 1}")


def linear_output(who: str, x_shape: Shape, w_shape: Shape) -> Pair:
    """(N, O) of a product x w^T after checking that x is (N, F) and w (O, F)."""
    ndim(who, "x", x_shape, "(N, F)", 2)
    ndim(who, "w", w_shape, "(O, F)", 2)
    if min(w_shape) < 1:
        raise ValueError(f"{who}: w must have at least 1 row and 1 column, got shape {w_shape}")
    if x_shape[1] != w_shape[1]:
        raise ValueError(f"{who}: x must have {w_shape[1]} features like w, got {x_shape[1]} in shape {x_shape}")
    return x_shape[0], w_shape[0]


def channels(who: str, x_shape: Shape, axes: str = "(N, F) or (N, C, H, W)") -> int:
    """C of (N, C, H, W) or (N, C), none of the sizes but N zero."""
    ndim(who, "x", x_shape, axes, 2, 4)
    if min(x_shape[1:]) < 1:
        raise ValueError(f"{who}: channels, height and width of x must be at least 1, got shape {x_shape}")
    return x_shape[1]


def image_shape(who: str, x_shape: Any) -> Shape:
    """`x_shape`, given as an argument, as (N, C, H, W) ints."""
    if not isinstance(x_shape, (tuple, list)) or len(x_shape) != 4:
        raise ValueError(f"{who}: x_shape must be (N, C, H, W), got {x_shape!r}")
    return tuple(integer(who, "x_shape", size, 0 if axis == 0 else 1) for axis, size in enumerate(x_shape))


def check_elements(who: str, shape: tuple[int, ...]) -> None:
    """Refuse shapes whose number of elements no array can have."""
    total = 1
    for size in shape:
        total *= max(int(size), 1)
    if total > MAX_ELEMENTS:
        raise ValueError(f"{who}: shape {tuple(shape)} is too large: {total} elements, at most {MAX_ELEMENTS}")


def float_array(who: str, name: str, x: Any, dtype: Any = None) -> np.ndarray:
    """`x` as a C-contiguous, aligned, native-endian float array; no copy if it already is one.

    dtype None keeps float32 or float64; else the array is converted to dtype (float32 or float64). Objects, complex
    numbers, integers, bools and other floats than float16, float32 and float64 are a TypeError.
    """
    try:
        a = np.asarray(x)
    except (RecursionError, ValueError):  # lists of different lengths
        raise TypeError(f"{who}: {name} must be one array of float32 or float64, got {shown(x):.200}") from None
    kind = a.dtype.newbyteorder("=")
    if kind not in FLOATS and kind != np.dtype(np.float16):
        raise TypeError(f"{who}: {name} must be an array of float32 or float64, got dtype {a.dtype}")
    target = np.dtype(dtype) if dtype is not None else kind if kind in FLOATS else np.dtype(np.float32)
    return np.require(a, target, ["C_CONTIGUOUS", "ALIGNED"])


def floats(who: str, **arrays: Any) -> list[Any]:
    """The named arrays in order, each as `float_array`, all of the first one's dtype; an optional None stays None."""
    checked: list[Any] = []
    for name, array in arrays.items():
        absent = array is None and name in OPTIONAL
        checked.append(None if absent else float_array(who, name, array))
        if not absent and checked[-1].dtype != checked[0].dtype:
            rule = f"{next(iter(arrays))}'s dtype {checked[0].dtype}"
            raise TypeError(f"{who}: {name} must have {rule}, got {checked[-1].dtype}")
    return checked


def images(who: str, **arrays: Any) -> list[np.ndarray]:
    """The named arrays as `floats`, all (N, F) or all (N, C, H, W), of one shape."""
    ready = floats(who, **arrays)
    for name, array in zip(arrays, ready):
        ndim(who, name, array.shape, "(N, F) or (N, C, H, W)", 2, 4)
        same_shape(who, name, array.shape, ready[0].shape, f"{next(iter(arrays))}'s")
    return ready


def cache(who: str, given: Any, parts: int) -> tuple[Any, ...]:
    """What a forward function has given for its backward, of so many parts."""
    if not isinstance(given, tuple) or len(given) != parts:
        raise TypeError(f"{who}: cache must be what {who.replace('backward', 'forward')} gave, got {shown(given):.80}")
    return given


def writeable(who: str, **arrays: Any) -> None:
    """Refuse arrays that cannot be changed in place; an optional None passes."""
    for name, array in arrays.items():
        if array is None and name in OPTIONAL:
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{who}: {name} is changed in place and must be a numpy array, got {type(array).__name__}")
        if not array.flags.writeable:
            raise ValueError(f"{who}: {name} is changed in place and must be writeable, got a read-only array")


def ndim(who: str, name: str, shape: Shape, rule: str, *allowed: int) -> None:
    """Refuse a shape whose number of dimensions is not one of `allowed`; `rule` names the axes."""
    if len(shape) not in allowed:
        raise ValueError(
            f"{who}: {name} must have {' or '.join(map(str, allowed))} dimensions {rule}, got shape {shape}"
        )


def per_channel(who: str, channels: int, **arrays: Any) -> None:
    """Refuse arrays other than (channels,); a None passes."""
    for name, array in arrays.items():
        if array is not None:
            same_shape(who, name, array.shape, (channels,), "one number a channel")


def same_shape(who: str, name: str, shape: tuple[int, ...], rule: tuple[int, ...], why: str) -> None:
    """Refuse an array whose shape is not `rule`."""
    if tuple(shape) != tuple(rule):
        raise ValueError(f"{who}: {name} must have shape {tuple(rule)} ({why}), got {tuple(shape)}")


def class_targets(who: str, target: Any, n: int, classes: int, dtype: Any) -> np.ndarray:
    """Targets of a classification: (N,) integers or bools as intp, or (N, K) one-hot or probabilities as `dtype`."""
    t = np.asarray(target)
    if t.ndim == 1:
        if t.dtype.kind not in "iub":
            hint = {"f": ": y.astype(int)", "U": ": np.unique(y, return_inverse=True)[1]"}.get(t.dtype.kind, "")
            raise TypeError(f"{who}: class labels must be integers, got dtype {t.dtype}{hint and '; numbers' + hint}")
        same_shape(who, "target", t.shape, (n,), "one label an image")
        if n and (int(t.min()) < 0 or int(t.max()) >= classes):
            bad = int(t.min()) if int(t.min()) < 0 else int(t.max())
            raise ValueError(f"{who}: labels must lie in [0, {classes}), got {bad}")
        return np.ascontiguousarray(t, dtype=np.intp)
    column = "; a column of labels: y.ravel()" if t.shape == (n, 1) else ""
    rule = f"integer labels (N,) or one row of probabilities an image{column}"
    same_shape(who, "target", t.shape, (n, classes), rule)
    if t.dtype.kind in "iub":
        t = t.astype(dtype)
    return float_array(who, "target", t, dtype)


def weights(who: str, name: str, value: Any, count: int, rule: str, dtype: Any) -> np.ndarray | None:
    """`value` as (count,) numbers of at least 0 that `dtype` can hold; `rule`: what for ("one a row"). None passes."""
    if value is None:
        return None
    given = np.asarray(value)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"{who}: {name} must be numbers, got dtype {given.dtype}")
    hint = "; a column: .ravel()" if given.shape == (count, 1) else ""
    same_shape(who, name, given.shape, (count,), rule + hint)
    with np.errstate(over="ignore", under="ignore"):
        a = np.require(given, dtype, ["C_CONTIGUOUS", "ALIGNED"])
    good = np.isfinite(a) & (a >= 0)
    if a.dtype != given.dtype:
        good &= (a != 0) | (given == 0)
    if not good.all():
        bad = int(np.argmin(good))
        place = f"{rule.rpartition(' ')[2]} {bad}"
        if np.isfinite(given[bad]) and given[bad] >= 0:
            becomes = f"which becomes {a[bad]}"
            raise ValueError(f"{who}: {name} must fit into {a.dtype}, got {given[bad]} in {place}, {becomes}")
        raise ValueError(f"{who}: {name} must be finite and at least 0, got {given[bad]} in {place}")
    return a
