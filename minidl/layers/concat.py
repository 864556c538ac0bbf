"""Arrays put together and taken apart.

    Concat   x1, x2, ... side by side along an axis      Split   one array's parts along an axis, an output each

Each is the other's gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels import arrange
from minidl.kernels.boxes import SOURCE, joined, swapped
from minidl.layers.base import Layer
from minidl.layers.merge import Merge
from minidl.support.several import Shape
from minidl.support.several import joined as one_shape

__all__ = ["Concat", "Split"]

MOST_PARTS = 1000
"""So many outputs may a `Split` have."""
Plan = tuple[Shape, np.ndarray, list[np.ndarray]]
"""The output's shape, its boxes, and the way back to each input."""


class Concat(Merge):
    """Inputs side by side along an axis: (N, C1, H, W) and (N, C2, H, W) to (N, C1 + C2, H, W).

    axis: 1 for channels or features, 2 for rows, 3 for columns; all other sizes are equal. Raises TypeError or
    ValueError that names the layer and the shapes where they differ.
    """

    _remembered = ("_in",)
    _ranks = (2, 3, 4)
    _fewest = 1
    _in: Any
    _planned: tuple[tuple[Shape, ...], Plan | None] = (), None
    """Shapes of the last images, and what follows from them."""

    def __init__(self, axis: int = 1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = arrange.axis_setting(self.name, axis)

    def _plan(self, shapes: tuple[Shape, ...]) -> Plan:
        known, plan = self._planned  # read once: another thread may write
        if plan is None or shapes != known:
            out, boxes = arrange.concat(self.who, shapes, self.axis)
            plan = out, boxes, [swapped(boxes, source) for source in range(len(shapes))]
            self._planned = shapes, plan
        return plan

    def _merged(self, shapes: list[Shape]) -> Shape:
        return (shapes[0][0], *self._plan(tuple(tuple(shape[1:]) for shape in shapes))[0])

    def _infer(self, x: Any) -> Any:
        out, boxes, _ = self._plan(x.shape[1:])
        return self.kernels.boxes_forward(tuple(x), out, boxes)

    def _forward(self, x: Any, train: bool) -> Any:
        self._in = x.shape[1:]
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        if self._in is None:
            raise self._unready()
        ways = self._plan(self._in)[2]
        return tuple(self.kernels.boxes_forward((dy,), shape, way) for shape, way in zip(self._in, ways))


class Split(Layer):
    """The parts of an input along an axis, an output each: `a, b = Split(2)(x)`.

    sections: so many equal parts, or the sizes of the parts, at most 1,000. axis: 1 for channels or features, 2 for
    rows, 3 for columns. Raises TypeError or ValueError that names the layer for other arguments and where they do not
    add up.
    """

    _remembered = ("_in",)
    _ranks = (2, 3, 4)
    _in: Any
    _planned: tuple[Shape, list[arrange.Plan]] = (), []
    """Shape of the last image, and shape and boxes of its parts."""

    def __init__(self, sections: int | tuple[int, ...], axis: int = 1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.sections = arrange.sections_setting(self.name, sections)
        self.axis = arrange.axis_setting(self.name, axis)
        self.outputs = self.sections if isinstance(self.sections, int) else len(self.sections)
        if self.outputs > MOST_PARTS:  # each is an array with a table of its own
            raise ValueError(f"{self.name}: sections must make at most {MOST_PARTS} parts, got {self.outputs}")

    def _plan(self, shape: Shape) -> list[arrange.Plan]:
        known, plan = self._planned  # read once: another thread may write
        if not plan or shape != known:
            plan = arrange.split(self.who, shape, self.sections, self.axis)
            self._planned = shape, plan
        return plan

    def _check(self, x_shape: Shape) -> Shape:
        shapes = [(x_shape[0], *shape) for shape, _ in self._plan(tuple(x_shape[1:]))]
        return one_shape(shapes) if len(shapes) > 1 else shapes[0]

    def _infer(self, x: Any) -> Any:
        parts = tuple(self.kernels.boxes_forward((x,), *plan) for plan in self._plan(x.shape[1:]))
        return parts if len(parts) > 1 else parts[0]

    def _forward(self, x: Any, train: bool) -> Any:
        self._in = x.shape[1:]
        return self._infer(x)

    def _backward(self, dy: Any) -> Any:
        """An output that nobody read has None in dy, and zeros in dx."""
        if self._in is None:
            raise self._unready()
        parts = list(dy) if self.outputs > 1 else [dy]
        given = [i for i, part in enumerate(parts) if part is not None]
        if not given:
            return None
        boxes = joined([shape for shape, _ in self._plan(self._in)], self.axis - 1)[given]
        boxes[:, SOURCE] = range(len(given))
        return self.kernels.boxes_forward(tuple(parts[i] for i in given), self._in, boxes)
