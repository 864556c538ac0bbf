"""Sizes of transposed convolutions, and the checks before them."""

from __future__ import annotations

from minidl.kernels import checks
from minidl.kernels.checks import Padding, Pair, Shape, Sides, Size


def window(
    who: str, stride: Size, padding: Size | Sides, output_padding: Size, dilation: Size, groups: int
) -> tuple[Pair, Padding, Pair, Pair, int]:
    """The five settings of a transposed convolution. Padding in words is refused: it does not tell the output's
    size."""
    if isinstance(padding, str):
        rule = "an int, an (h, w) pair or ((top, bottom), (left, right))"
        raise ValueError(f"{who}: padding must be {rule}, got {padding!r}")
    steps, spread = checks.pair(who, "stride", stride, 1), checks.pair(who, "dilation", dilation, 1)
    more = checks.pair(who, "output_padding", output_padding, 0)
    for axis, extra, s, d in zip(checks.AXES, more, steps, spread):
        if extra >= max(s, d):
            rule = f"smaller than the stride or the dilation of the {axis}"
            raise ValueError(f"{who}: output_padding must be {rule}, got {extra} for stride {s} and dilation {d}")
    around = checks.window_padding(who, padding, (1, 1), steps, spread)
    return steps, around, more, spread, checks.integer(who, "groups", groups, 1)


def output(
    who: str,
    x_shape: Shape,
    w_shape: Shape,
    stride: Pair,
    padding: Padding,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[int, int, int, int]:
    """(N, O, OH, OW), OH = (H - 1) SH - top - bottom + DH (KH - 1) + 1 + output_padding, if the shapes go together."""
    checks.ndim(who, "input", x_shape, "(N, C, H, W)", 4)
    checks.ndim(who, "weights", w_shape, "(C, O/groups, KH, KW)", 4)
    if min(w_shape) < 1:
        raise ValueError(f"{who}: weights must have no size below 1, got shape {tuple(w_shape)}")
    if min(x_shape[1:]) < 1:
        raise ValueError(f"{who}: channels, height and width must be at least 1, got shape {tuple(x_shape)}")
    if x_shape[1] != w_shape[0]:
        rule = f"{w_shape[0]} channels (shape (N, {w_shape[0]}, H, W))"
        raise ValueError(f"{who}: input must have {rule}, got {x_shape[1]} in shape {tuple(x_shape)}")
    if w_shape[0] % groups:
        raise ValueError(f"{who}: in_channels must be divisible by groups, got {w_shape[0]} and {groups}")
    sizes = []
    sides = checks.margins(padding, (1, 1), (1, 1), stride)
    for axis, n, k, s, (p, q), more, d in zip(
        checks.AXES, x_shape[2:], w_shape[2:], stride, sides, output_padding, dilation
    ):
        size = (n - 1) * s - p - q + d * (k - 1) + 1 + more
        if size < 1:
            raise ValueError(f"{who}: the output's {axis} must be at least 1, got {size} (input {n}, padding {p, q})")
        sizes.append(size)
    shape = x_shape[0], w_shape[1] * groups, sizes[0], sizes[1]
    checks.check_elements(who, shape)
    checks.check_elements(who, (*shape[:2], sizes[0] + sum(sides[0]), sizes[1] + sum(sides[1])))
    return shape
