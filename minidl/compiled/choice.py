"""Which layout is faster: channels in lanes for few images, images in lanes for many.

Both are judged by the vector operations that they take, never by threads: an image with channels in lanes fills up its
channels to whole vectors, a batch with images in lanes its images.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from minidl.compiled.operation import Convolution, Operation, Pooling, Routing, Squash

LAYOUTS = ("auto", "channels", "images")
WINOGRAD, WINOGRAD_OF_FIVE = 2.0, 1.7
"""How much faster Winograd's form makes 3 x 3 convolutions of stride 1, about; and 5 x 5 with channels in lanes."""
FEW_PIXELS = {4: 0.9, 16: 1.6}
"""The same with channels in lanes, for maps of at most so many pixels: their weights, read for each image, count."""
PREDICTING, TRAINING = 1.1, 0.9
"""How much longer than these counts say images in lanes take, measured with whole blocks of images: a prediction with
channels in lanes takes an image through all layers in a cache, a training step packs all weights anew."""
WEIGHT = 20.0
"""Vector operations that transforming a 3 x 3 kernel takes as long as: predictions with images in lanes do so anew."""
MOVED = 3.0
"""Vector operations that reading and writing a value takes as long as."""

_forced = "auto"


def use_layout(name: str) -> None:
    """Predict and train with "channels" or "images" in lanes wherever both can, from now on; "auto" for the faster one.

    Raises ValueError for another name.
    """
    global _forced
    if name not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {name!r}")
    _forced = name


def forced() -> bool | None:
    """Whether channels in lanes are asked for; None where nothing is."""
    return None if _forced == "auto" else _forced == "channels"


class Cost:
    """Vector operations of both layouts for these operations, `lanes` channels or images in a vector.

    training: whether they are those of a training step.
    """

    def __init__(self, operations: Sequence[Operation], lanes: int, training: bool = False) -> None:
        self._lanes, self._training = lanes, training
        self._channels = self._images = self._weights = 0.0
        for operation in operations:
            one, other = _vectors(operation, lanes)
            self._channels += one
            self._images += other
            if isinstance(operation, Convolution) and not training and operation.taps() == 9:
                self._weights += WEIGHT * operation.y.shape[0] * operation.inside()

    def prefers_channels(self, n: int) -> bool:
        """Whether n images are computed with channels in lanes: where that is asked for, or takes less."""
        asked = forced()
        if asked is not None:
            return asked
        factor = TRAINING if self._training else PREDICTING
        return n * self._channels <= -(-n // self._lanes) * self._images * factor + self._weights


def _vectors(operation: Operation, lanes: int) -> tuple[float, float]:
    """Vector operations of one image with channels in lanes, and of one block of images in lanes."""
    c, h, w = operation.y.shape
    blocks, area = -(-c // lanes), h * w
    moved = MOVED * blocks * area, MOVED * c * area
    if isinstance(operation, Convolution):
        taps, inside = operation.taps(), operation.inside()
        read = operation.x.shape[0]
        if operation.groups > 1:
            spread = inside in (2, 4, 8) and inside * operation.groups == c
            read = 1 if operation.groups == read else inside if spread else max(inside, lanes)
        dense = operation.stride == (1, 1) and operation.groups == 1
        few, many = (WINOGRAD if dense and taps == 9 and read >= least else 1.0 for least in (lanes, 4))
        few = WINOGRAD_OF_FIVE if dense and taps == 25 and read >= lanes else few
        few = min([few, *(factor for pixels, factor in FEW_PIXELS.items() if dense and taps == 9 and area <= pixels)])
        return blocks * area * taps * read / few + moved[0], c * area * taps * inside / many + moved[1]
    if isinstance(operation, Pooling):
        read = operation.x.shape[1] * operation.x.shape[2]
        return moved[0] + blocks * read, moved[1] + c * read
    if isinstance(operation, Routing):
        (i, _, d), routings = operation.x.shape, operation.layer.routings
        again = 2 * routings - 1  # votes are weighed in each pass, and compared with the result after all but the last
        return moved[0] + -(-i // lanes) * c * w * (d + again), moved[1] + i * c * w * (d * routings + again)
    if isinstance(operation, Squash):
        return moved[0] + c * area, moved[1]  # gathered number by number
    return moved


if os.environ.get("MINIDL_LAYOUT"):
    use_layout(os.environ["MINIDL_LAYOUT"])

__all__ = ["Cost", "forced", "use_layout"]
