"""Images cut, padded and rearranged: numbers move and stay what they are.

    Slice               start:stop:step of channels, rows or columns
    Pad2D               (N, C, H, W) -> (N, C, H + top + bottom, W + left + right)
    Transpose           axes other than N in another order
    PixelShuffle        (N, C r^2, H, W) -> (N, C, H r, W r)       PixelUnshuffle     the way back
    ChannelShuffle      channel k of group g becomes channel g of group k

The gradient takes the opposite way; where a number stands in several places, their gradients are added.

PixelShuffle: Shi et al. 2016 (arXiv 1609.05158); ChannelShuffle: Zhang et al. 2018 (arXiv 1707.01083).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import arrange, checks
from minidl.kernels.arrange import Plan
from minidl.kernels.boxes import swapped
from minidl.layers.base import Layer, Reach, Shape

__all__ = ["ChannelShuffle", "Pad2D", "PixelShuffle", "PixelUnshuffle", "Slice", "Transpose"]

Sizes = tuple[int, ...]


class _Boxes(Layer):
    """One array in, one out: a layer says by `_plan` where its numbers come from."""

    _remembered = ("_in",)
    _ranks = (2, 3, 4)
    _in: Any
    _planned: tuple[Shape, Plan] = (), ((), np.empty((0, 3), np.intp))
    """Shape of the last image, and what `_plan` said of it."""
    _repeats = False
    """Whether a number may stand in several places."""
    _fill = 0.0

    def _plan(self, shape: Shape) -> Plan:
        """The output's shape and boxes for images of this shape; ValueError if the layer cannot take it."""
        raise NotImplementedError

    def _known(self, shape: Shape) -> Plan:
        known, plan = self._planned  # read once: another thread may write
        if shape != known:
            plan = self._plan(shape)
            self._planned = shape, plan
        return plan

    def _check(self, x_shape: Shape) -> Shape:
        return (*x_shape[:1], *self._known(tuple(x_shape[1:]))[0])

    def _infer(self, x: Any) -> Any:
        return self.kernels.boxes_forward((x,), *self._known(x.shape[1:]), self._fill)

    def _forward(self, x: Any, train: bool) -> Any:
        self._in = x.shape
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._in is None:
            raise self._unready()
        boxes = self._known(self._in[1:])[1]
        if self._repeats:
            return self.kernels.boxes_backward(dy, self._in, boxes)
        return self.kernels.boxes_forward((dy,), self._in[1:], swapped(boxes))


class Slice(_Boxes):
    """The places start:stop:step of an axis, as Python counts them: `Slice(2, 5)` is x[:, 2:5].

    start, stop: from the end where negative; None for the first and the last. step: not 0. axis: 1 for channels or
    features, 2 for rows, 3 for columns; or several, and then start, stop and step are one for all or one each:
    `Slice(1, -1, axis=(2, 3))` is x[:, :, 1:-1, 1:-1]. Raises TypeError or ValueError that names the layer for other
    arguments and where nothing is left.
    """

    def __init__(
        self,
        start: int | tuple[int | None, ...] | None = None,
        stop: int | tuple[int | None, ...] | None = None,
        step: int | tuple[int, ...] = 1,
        axis: int | tuple[int, ...] = 1,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._parts, self._axes = arrange.slice_settings(self.name, start, stop, step, axis)
        self.start, self.stop, self.step, self.axis = map(_plain, (start, stop, step, axis))

    def _plan(self, shape: Shape) -> Plan:
        return arrange.sliced(self.who, shape, self._parts, self._axes)

    def reach(self, shape: Shape) -> Reach:
        """One element, and the steps of rows and columns."""
        steps = {axis: abs(part[2]) for axis, part in zip(self._axes, self._parts)}
        return (1, 1), (steps.get(2, 1), steps.get(3, 1))


class Pad2D(_Boxes):
    """Rows and columns around maps: (N, C, H, W) to (N, C, H + top + bottom, W + left + right).

    padding: an int for all sides, (h, w), (top, left, bottom, right), or ((top, bottom), (left, right)) as convolutions
    take it; negative ones cut off. mode: what stands there, "constant" (`value`), "reflect" (the map mirrored at its
    outermost numbers), "edge" (these numbers) or "wrap" (the map again). A reflection is shorter than the map, "wrap"
    at most as long. Raises TypeError or ValueError that names the layer for other arguments, for inputs of another rank
    and where nothing is left.
    """

    def __init__(
        self,
        padding: int | tuple[int, int] | tuple[int, int, int, int],
        mode: str = "constant",
        value: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.padding = arrange.padding_setting(self.name, padding)
        self.mode = checks.one_of(self.name, "mode", mode, arrange.PAD_MODES)
        self.value = checks.real(self.name, "value", value, "a finite number", lambda v: True)
        self._fill, self._repeats = self.value, self.mode != "constant"

    def settings(self) -> dict[str, Any]:
        """As `Layer.settings`; padding as short as it can be said."""
        top, left, *rest = self.padding
        sides: Any = self.padding if [top, left] != rest else top if top == left else (top, left)
        return super().settings() | {"padding": sides}

    def _plan(self, shape: Shape) -> Plan:
        return arrange.padded(self.who, shape, self.padding, self.mode)


class Transpose(_Boxes):
    """Axes in another order, as numpy's transpose: axis number i of the output is axis axes[i] of the input.

    axes: one number for each dimension; the first, N, stays: `Transpose((0, 2, 3, 1))` puts channels last. Raises
    TypeError or ValueError that names the layer for other arguments and inputs of another rank.
    """

    def __init__(self, axes: tuple[int, ...], *, name: str | None = None) -> None:
        super().__init__(name)
        self.axes = arrange.axes_setting(self.name, axes)

    def _plan(self, shape: Shape) -> Plan:
        return arrange.transposed(self.who, shape, self.axes)


class _PixelShuffle(_Boxes):
    """Setting of both ways."""

    def __init__(self, factor: int, order: str = "crd", *, name: str | None = None) -> None:
        super().__init__(name)
        self.factor = checks.integer(self.name, "factor", factor, 1)
        self.order = checks.one_of(self.name, "order", order, list(arrange.ORDERS))


class PixelShuffle(_PixelShuffle):
    """Channels as pixels, r = factor: (N, C r^2, H, W) to (N, C, H r, W r).

    y[n, c, h r + i, w r + j] = x[n, k, h, w] with k = (c r + i) r + j for order "crd", as in PyTorch and in ONNX's
    DepthToSpace of mode CRD; k = (i r + j) C + c for "dcr", ONNX's default. Raises TypeError or ValueError that names
    the layer for other arguments and for inputs whose channels r^2 does not divide.
    """

    def _plan(self, shape: Shape) -> Plan:
        return arrange.pixel_shuffled(self.who, shape, self.factor, self.order)

    def reach(self, shape: Shape) -> Reach:
        """One element, `factor` of which stand where one stood."""
        return (1, 1), (1 / self.factor, 1 / self.factor)


class PixelUnshuffle(_PixelShuffle):
    """Pixels as channels, r = factor: (N, C, H r, W r) to (N, C r^2, H, W), the inverse of `PixelShuffle`.

    order: "crd" as in PyTorch, "dcr" as ONNX's SpaceToDepth. Raises TypeError or ValueError that names the layer for
    other arguments and for inputs whose height and width r does not divide.
    """

    def _plan(self, shape: Shape) -> Plan:
        return arrange.pixel_unshuffled(self.who, shape, self.factor, self.order)

    def reach(self, shape: Shape) -> Reach:
        """The channels of one place see `factor` rows and columns."""
        return (self.factor, self.factor), (self.factor, self.factor)


class ChannelShuffle(_Boxes):
    """Groups of channels mixed: channel k of group g becomes channel g of group k; (N, C, H, W) or (N, F).

    groups: divides the channels. Raises TypeError or ValueError that names the layer for other arguments and inputs.
    """

    def __init__(self, groups: int, *, name: str | None = None) -> None:
        super().__init__(name)
        self.groups = checks.integer(self.name, "groups", groups, 1)

    def _plan(self, shape: Shape) -> Plan:
        return arrange.channel_shuffled(self.who, shape, self.groups)


def _plain(value: Any) -> Any:
    """A setting as plain ints."""
    if isinstance(value, (tuple, list)):
        return tuple(_plain(item) for item in value)
    return None if value is None else int(value)
