"""What each row or column of an image of another size is mixed from, in the coordinates of files.

Output place i of `out` lies at a position p of the input's `size` places; r = size / out, or 1 / scale where a scale is
given:

    asymmetric            p = i r
    half_pixel            p = (i + 1/2) r - 1/2
    pytorch_half_pixel    the same; 0 where out is 1
    half_pixel_symmetric  the same, plus (size - out r) / 2
    align_corners         p = i (size - 1) / (out - 1); 0 where out is 1

A nearest place is p rounded: round_prefer_floor (halves down), round_prefer_ceil (halves up), floor or ceil. Linear:
p = k + f lies between places k and k + 1, which count 1 - f and f. Cubic: the four places around p count k(p - place),

    k(t) = (a + 2) |t|^3 - (a + 3) t^2 + 1          |t| <= 1
           a (|t|^3 - 5 t^2 + 8 |t| - 4)            1 < |t| < 2

(Keys 1981). antialias: where the image becomes smaller, the kernel, linear 1 - |t| or cubic, is 1 / scale as wide: a
mean over all places. Places outside are the first and the last, or count nothing (exclude_outside; the weights of the
others are divided by their sum). (ONNX, operator Resize; PyTorch's interpolate is asymmetric and floor, or half_pixel,
or align_corners; its antialias has a = -0.5 and excludes what is outside.)

Positions are exact, but for nearest places by a scale, which are those of ONNX Runtime: scale and positions are
float32, so that i / scale may miss the whole number that it would be, and halves are those up to 1e-6. By a scale, out
is floor(scale size) in float32, too, and maps that keep both sizes are copied.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.kernels.contract import Taps

MODES = ("nearest", "bilinear", "bicubic")
COORDINATES = ("asymmetric", "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


class Resizing:
    """How maps get another size; raises ValueError or TypeError that names `who` for settings that are none.

    scale and size: one of them, the other None. coordinates None: PyTorch's, "half_pixel" for bilinear, else
    "asymmetric".
    """

    def __init__(
        self,
        who: str,
        scale: Any,
        size: Any,
        mode: str,
        coordinates: str | None,
        rounding: str,
        antialias: bool = False,
        cubic: float = -0.75,
        exclude_outside: bool = False,
    ) -> None:
        if (scale is None) == (size is None):
            raise ValueError(f"{who}: there must be a scale or a size, got scale {scale!r} and size {size!r}")
        self.size = None if size is None else checks.pair(who, "size", size, 1)
        self.scale = None if scale is None else _scales(who, scale)
        self.mode = checks.one_of(who, "mode", mode, MODES)
        usual = "asymmetric" if mode == "nearest" else "half_pixel"
        self.coordinates = usual if coordinates is None else coordinates
        checks.one_of(who, "coordinates", self.coordinates, COORDINATES)
        self.rounding = checks.one_of(who, "rounding", rounding, ROUNDINGS)
        self.antialias = checks.flag(who, "antialias", antialias)
        self.exclude_outside = checks.flag(who, "exclude_outside", exclude_outside)
        self.cubic = checks.real(who, "cubic", cubic, "a coefficient between -10 and 10", lambda a: -10 <= a <= 10)
        if antialias and mode == "nearest":
            raise ValueError(f"{who}: antialias needs the mode 'bilinear' or 'bicubic', got 'nearest'")

    def output(self, who: str, x_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """(N, C, OH, OW) of (N, C, H, W)."""
        checks.ndim(who, "input", tuple(x_shape), "(N, C, H, W)", 4)
        n, c, *sizes = x_shape
        if min(c, *sizes) < 1:
            raise ValueError(f"{who}: channels, height and width must be at least 1, got shape {tuple(x_shape)}")
        out = self.size or tuple(scaled(size, scale) for size, scale in zip(sizes, self.scale or (1, 1)))
        if min(out) < 1:
            raise ValueError(f"{who}: scale must leave something of {sizes[0]} x {sizes[1]}, got {self.scale}")
        checks.check_elements(who, (n, c, *out))
        return n, c, out[0], out[1]

    def taps(self, x_shape: tuple[int, ...], dtype: Any) -> tuple[Taps, Taps]:
        """rows and columns of the contract's `resize_forward`, for a shape that `output` has checked."""
        found = []
        for size, out, scale in self._axes(x_shape):
            index, weight = self._taps(size, out, scale)
            found.append((index, weight.astype(dtype)))
        return found[0], found[1]

    def counts(self, x_shape: tuple[int, ...]) -> tuple[int, int]:
        """How many rows and columns `taps` mixes for each pixel of the output."""
        if self.mode == "nearest":
            return 1, 1
        rows, columns = (2 * _reach(*self._kernel(*axis)) for axis in self._axes(x_shape))
        return rows, columns

    def _axes(self, x_shape: tuple[int, ...]) -> list[tuple[int, int, float | None]]:
        """Size, size of the output and scale of height and width; maps that keep both sizes have no scale."""
        sizes, outs = x_shape[2:], self.output("", x_shape)[2:]
        scales = (None, None) if tuple(sizes) == outs or self.scale is None else self.scale
        return list(zip(sizes, outs, scales))

    def _kernel(self, size: int, out: int, scale: float | None) -> tuple[float, float | None]:
        """What the kernel is scaled by, and the coefficient of a cubic one, None for a linear one."""
        shrink = min(out / size if scale is None else scale, 1.0) if self.antialias else 1.0
        return shrink, self.cubic if self.mode == "bicubic" else None

    def _taps(self, size: int, out: int, scale: float | None) -> Taps:
        if self.mode == "nearest":
            return nearest(size, out, scale, self.coordinates, self.rounding)
        if self.mode == "bilinear" and not self.antialias:
            return linear(size, out, scale, self.coordinates)
        return filtered(size, out, scale, self.coordinates, *self._kernel(size, out, scale), self.exclude_outside)


def _scales(who: str, scale: Any) -> tuple[float, float]:
    values = tuple(scale) if isinstance(scale, (tuple, list)) else (scale, scale)
    if len(values) != 2:
        raise ValueError(f"{who}: scale must be a number or an (h, w) pair, got {scale!r}")
    h, w = (checks.real(who, "scale", value, "between 0 and 1e6", lambda v: 0 < v < 1e6) for value in values)
    return h, w


def scaled(size: int, scale: float) -> int:
    """floor(scale size), in float32."""
    return math.floor(np.float32(size) * np.float32(scale))


def nearest(size: int, out: int, scale: float | None, coordinates: str, rounding: str) -> Taps:
    """index, weight, (out, 1) each; the weights are 1."""
    index: Any
    if scale is None or coordinates == "align_corners":
        index = _nearest_exactly(size, out, None, coordinates, rounding)
    else:
        index = _nearest_of_float32(size, out, np.float32(scale), coordinates, rounding)
    return np.clip(index, 0, size - 1).astype(np.intp).reshape(out, 1), np.ones((out, 1))


def is_plain(size: int, out: int, scale: float, coordinates: str, rounding: str) -> bool:
    """Whether float32 takes the nearest places that exact positions have, so that every program takes them."""
    exact = np.clip(_nearest_exactly(size, out, float(np.float32(scale)), coordinates, rounding), 0, size - 1)
    return np.array_equal(exact, nearest(size, out, scale, coordinates, rounding)[0][:, 0])


def _nearest_exactly(size: int, out: int, scale: float | None, coordinates: str, rounding: str) -> list[int]:
    first, step, d = _positions(size, out, scale, coordinates)
    rounded = {
        "floor": lambda a: a // d,
        "ceil": lambda a: -(-a // d),
        "round_prefer_floor": lambda a: -((d - 2 * a) // (2 * d)),
        "round_prefer_ceil": lambda a: (2 * a + d) // (2 * d),
    }[rounding]
    return [rounded(first + i * step) for i in range(out)]


HALF = np.float32(0.5)
NEAR = 1e-6
"""How far from a half a position may be, and still counts as one."""


def _nearest_of_float32(size: int, out: int, scale: np.float32, coordinates: str, rounding: str) -> np.ndarray:
    place = np.arange(out, dtype=np.float32)
    if coordinates == "asymmetric":
        p = place / scale
    elif coordinates == "pytorch_half_pixel" and out == 1:
        p = np.zeros_like(place)
    else:
        p = (place + HALF) / scale - HALF
    if coordinates == "half_pixel_symmetric":
        p += np.float32(size - out / float(scale)) * HALF
    whole = np.floor(p)
    if rounding in ("floor", "ceil"):
        return whole if rounding == "floor" else np.ceil(p)
    rest = p.astype(np.float64) - whole - 0.5
    up = rest >= -NEAR if rounding == "round_prefer_ceil" else rest > NEAR
    found: np.ndarray = whole + up
    return found


def linear(size: int, out: int, scale: float | None, coordinates: str) -> Taps:
    """index, weight, (out, 2) each; where the second weight is 0, its place is the first's."""
    first, step, d = _positions(size, out, scale, coordinates)
    index, weight = np.zeros((out, 2), np.intp), np.zeros((out, 2))
    for i in range(out):
        place, rest = divmod(min(max(first + i * step, 0), (size - 1) * d), d)
        index[i] = place, place + (rest > 0)
        weight[i] = (d - rest) / d, rest / d
    return index, weight


def filtered(
    size: int, out: int, scale: float | None, coordinates: str, shrink: float, a: float | None, exclude_outside: bool
) -> Taps:
    """index, weight, (out, taps) each; shrink: scale of the kernel; a: of the cubic one, None for 1 - |t|."""
    first, step, d = _positions(size, out, scale, coordinates)
    p = (first + np.arange(out) * step)[:, None] / d
    reach = _reach(shrink, a)
    place = np.floor(p).astype(np.intp) + np.arange(1 - reach, reach + 1)
    t = np.abs((p - place) * shrink)
    if a is None:
        weight = np.maximum(1 - t, 0)
    else:
        inner, outer = ((a + 2) * t - (a + 3)) * t * t + 1, (((t - 5) * t + 8) * t - 4) * a
        weight = np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))
    if exclude_outside:
        weight[(place < 0) | (place >= size)] = 0
    return np.clip(place, 0, size - 1), weight / weight.sum(1, keepdims=True)


def _reach(shrink: float, a: float | None) -> int:
    """How many places on each side a kernel of this scale may count."""
    return math.ceil((1 if a is None else 2) / shrink)


def _positions(size: int, out: int, scale: float | None, coordinates: str) -> tuple[int, int, int]:
    """a, b, d: output place i lies at (a + i b) / d, exactly, for rounding decides at halves and whole numbers."""
    ratio = Fraction(size, out) if scale is None else 1 / Fraction(scale)
    p, q = ratio.numerator, ratio.denominator
    if coordinates == "align_corners":
        return 0, size - 1, max(out - 1, 1)
    if coordinates == "asymmetric":
        return 0, p, q
    if coordinates == "pytorch_half_pixel" and out == 1:
        return 0, 0, 1
    if coordinates == "half_pixel_symmetric":
        return size * q - out * p + p - q, 2 * p, 2 * q
    return p - q, 2 * p, 2 * q
