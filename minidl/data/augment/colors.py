"""Random colours of training images: brightness, contrast, saturation and hue, grey pictures, noise.

All but the noise is one affine map of an image's colours, composed here from what is drawn for it; the backend's
`gather` applies it (`minidl.kernels.image_colors`) in the same pass that moves the image. Values count as shares of the
largest one: uint8 images reach from 0 to 255, float images from 0 to 1. Whatever the order in the tuple, an image's
colours are jittered, then made grey, then noise is added; the result is clipped once, to that range, before it is
scaled by the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minidl.data.augment.randomness import GRAY, JITTER, NOISE, TONE, Draw, shares
from minidl.kernels import checks
from minidl.kernels.image_colors import Colors

Range = tuple[float, float]

MOST = 1000.0
"""No factor of brightness, contrast or saturation is larger."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Brightness of red, green and blue: ITU-R BT.601, the Y of YIQ."""

CHROMA = np.array([[0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""I and Q of YIQ; grey has none of both."""

GREY = np.tile(LUMA, (3, 1))
"""The map that leaves a colour's brightness alone."""

COLORED = np.eye(3) - GREY
"""The map that leaves what a colour has beside its brightness."""

QUARTER = (np.outer(np.cross(CHROMA[1], LUMA), CHROMA[1]) - np.outer(np.cross(LUMA, CHROMA[0]), CHROMA[0])) / np.sum(
    LUMA * np.cross(CHROMA[0], CHROMA[1])
)
"""The same, turned by a quarter of the circle of hues, in the direction from red to yellow."""


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, contrast, saturation and hue, each by a random amount.

    brightness, contrast, saturation: a number s >= 0 for factors in [max(0, 1 - s), 1 + s], or their (least, most).
    hue: a number at most 0.5 for turns in [-hue, hue], or (least, most) within [-0.5, 0.5]; 1 is the whole circle. All
    evenly; 0 changes nothing. An image x is multiplied by the brightness; goes to 0.5 + contrast (x - 0.5), away from
    or towards middle grey; to grey + saturation (x - grey), grey being 0.299 R + 0.587 G + 0.114 B; and its hue is
    turned in the plane of I and Q of YIQ, from red towards yellow, which leaves grey as it is. Contrast is about middle
    grey, not the image's mean: the result then depends on nothing but the pixel. Saturation and hue need images of
    three channels.
    """

    brightness: float | Range = 0.0
    contrast: float | Range = 0.0
    saturation: float | Range = 0.0
    hue: float | Range = 0.0
    kind = "jitter"

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            _factors("ColorJitter", name, getattr(self, name))
        _turns("ColorJitter", "hue", self.hue)

    def check_channels(self, channels: int) -> None:
        """Refuse saturation and hue for other than three channels."""
        if self._mixes() and channels != 3:
            raise ValueError(
                f"{self}: saturation and hue need images of 3 channels, got {channels};"
                " brightness and contrast take any number"
            )

    def paint(self, draw: Draw, channels: int) -> Colors:
        """The map of each image."""
        bright, contrast = map(shares, draw.pair(JITTER))
        bright = _between(bright, _factors("ColorJitter", "brightness", self.brightness))
        contrast = _between(contrast, _factors("ColorJitter", "contrast", self.contrast))
        gain, offset = bright * contrast, (1 - contrast) / 2
        if not self._mixes():
            return Colors(np.stack([gain, offset], axis=-1)[:, None])
        saturation, turn = map(shares, draw.pair(TONE))
        saturation = gain * _between(saturation, _factors("ColorJitter", "saturation", self.saturation))
        turn = 2 * np.pi * _between(turn, _turns("ColorJitter", "hue", self.hue))
        maps = np.empty((len(gain), 3, 4))
        along, across = saturation * np.cos(turn), saturation * np.sin(turn)
        for k, c in np.ndindex(3, 3):  # long vectors are many times faster than short ones
            maps[:, k, c] = gain * GREY[k, c] + along * COLORED[k, c] + across * QUARTER[k, c]
        maps[:, :, 3] = offset[:, None]
        return Colors(maps)

    def _mixes(self) -> bool:
        return _factors("", "", self.saturation) != (1, 1) or _turns("", "", self.hue) != (0, 0)


@dataclass(frozen=True)
class Grayscale:
    """Make the image grey with probability p: all three channels become 0.299 R + 0.587 G + 0.114 B."""

    p: float = 0.1
    kind = "gray"

    def __post_init__(self) -> None:
        probability("Grayscale", self.p)

    def check_channels(self, channels: int) -> None:
        """Refuse other than three channels."""
        if channels != 3:
            raise ValueError(f"{self}: needs images of 3 channels, got {channels}")

    def paint(self, draw: Draw, channels: int) -> Colors:
        """The map of each image, that of a coloured one too."""
        maps = np.zeros((len(draw.images), 3, 4))
        maps[:, :, :3] = np.where(draw.chosen(GRAY, self.p)[:, None, None], GREY, np.eye(3))
        return Colors(maps)


@dataclass(frozen=True)
class Noise:
    """Add noise, drawn for every pixel and channel, nearly normal: the sum of eight random bytes, shifted and scaled.

    std: its standard deviation, 1 being the whole range of values; at most 1.
    """

    std: float
    kind = "noise"

    def __post_init__(self) -> None:
        checks.real("Noise", "std", self.std, "at least 0 and at most 1", lambda x: 0 <= x <= 1)

    def check_channels(self, channels: int) -> None:
        """Fits every image."""

    def paint(self, draw: Draw, channels: int) -> Colors:
        """A key an image."""
        return Colors(keys=draw.bits(NOISE), deviation=float(self.std))


def together(first: Colors, then: Colors) -> Colors:
    """Both in one; of keys and fill at most one of the two has each."""
    maps = first.maps if then.maps is None else then.maps
    if first.maps is not None and then.maps is not None:
        outer, inner = _mixed(then.maps), _mixed(first.maps)
        maps = np.sum(outer[:, :, :3, None] * inner[:, None], axis=2)
        maps[:, :, 3] += outer[:, :, 3]
    keys = first.keys if then.keys is None else then.keys
    fill = first.fill if then.fill is None else then.fill
    return Colors(maps, keys, first.deviation + then.deviation, fill)


def probability(who: str, p: float) -> float:
    """p. Raises TypeError or ValueError that names `who` for what is no number in [0, 1]."""
    return checks.real(who, "p", p, "at least 0 and at most 1", lambda x: 0 <= x <= 1)


def bounds(who: str, name: str, value: tuple[float, float], least: float, most: float) -> Range:
    """A pair of numbers in order, within [least, most]. Raises TypeError or ValueError that names all of them."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{who}: {name} must be a (least, most) pair, got {value!r}")
    rule = f"within [{least:g}, {most:g}]"
    low, high = (checks.real(who, name, number, rule, lambda x: least <= x <= most) for number in value)
    if low > high:
        raise ValueError(f"{who}: {name} must be (least, most), in this order, got {value!r}")
    return low, high


def _factors(who: str, name: str, value: float | Range) -> Range:
    if isinstance(value, (tuple, list)):
        return bounds(who, name, tuple(value), 0, MOST)  # type: ignore[arg-type]
    spread = checks.real(who, name, value, f"at least 0 and at most {MOST:g}", lambda x: 0 <= x <= MOST)
    return max(0.0, 1 - spread), 1 + spread


def _turns(who: str, name: str, value: float | Range) -> Range:
    if isinstance(value, (tuple, list)):
        return bounds(who, name, tuple(value), -0.5, 0.5)  # type: ignore[arg-type]
    turn = checks.real(who, name, value, "at least 0 and at most 0.5", lambda x: 0 <= x <= 0.5)
    return -turn, turn


def _between(share: np.ndarray, limits: Range) -> np.ndarray:
    return limits[0] + (limits[1] - limits[0]) * share


def _mixed(maps: np.ndarray) -> np.ndarray:
    if maps.shape[1] == 3:
        return maps
    wide = np.zeros((len(maps), 3, 4))
    wide[:, :, :3] = maps[:, :, :1] * np.eye(3)
    wide[:, :, 3] = maps[:, :, 1]
    return wide
