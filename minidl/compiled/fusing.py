"""Neighbouring operations as one: normalisation in the weights; a sum, relu or function at the end of a convolution.

And such as stay two, and run together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from minidl.compiled.operation import Affine, Arithmetic, Convolution, Element, Operation
from minidl.compiled.value import Value

MOST_JOINED = 400 * 1024
"""Bytes of weights that stay in a core's cache."""

WIDE = 1024 * 1024
"""Bytes of an image's channels that do not."""


def fused(operations: Sequence[Operation], kept: Sequence[Value]) -> list[Operation]:
    """The operations in order, each merged into the one before that makes what it reads, where nobody else reads it.

    kept: values that are read from outside.
    """
    readers = Counter(id(value) for operation in operations for value in operation.reads())
    readers.update(id(value) for value in kept)
    found: list[Operation] = []
    makers: dict[int, int] = {}  # value -> place in `found`
    for operation in operations:
        place = _place(operation, found, makers, readers)
        if place is None:
            makers[id(operation.y)] = len(found)
            found.append(operation)
        else:
            makers[id(operation.y)] = place
    return found


def join(operations: Sequence[Operation], kept: Sequence[Value], itemsize: int) -> None:
    """Mark depthwise convolutions that run some rows at a time with a pointwise one behind them, the only reader.

    A direct convolution before them runs with them, too, if what it makes is WIDE. kept: as in `fused`. itemsize: of a
    number; all weights are read for each part.
    """
    readers = Counter(id(value) for operation in operations for value in operation.reads())
    readers.update(id(value) for value in kept)

    convolutions = [made if type(made) is Convolution else None for made in operations]
    taken: Operation | None = None  # the last of the group before
    for before, first, second in zip([None, *convolutions], convolutions, convolutions[1:]):
        if not (first and second and second.x is first.y and readers[id(first.y)] == 1):
            continue
        if not (first.depthwise() and second.pointwise() and _small(second, itemsize)):
            continue
        alone = before and before is not taken and first.x is before.y and readers[id(before.y)] == 1
        if before and alone and _wide(first.x, itemsize) and before.direct() and _small(before, itemsize):
            before.joined = 2
        else:
            first.joined = 1
        taken = second


def _small(convolution: Convolution, itemsize: int) -> bool:
    """Whether its weights stay in a core's cache."""
    return math.prod(convolution.kernel) * itemsize <= MOST_JOINED


def _wide(value: Value, itemsize: int) -> bool:
    """Whether an image's numbers do not."""
    return math.prod(value.shape) * itemsize >= WIDE


def _place(operation: Operation, found: list[Operation], makers: dict[int, int], readers: Counter[int]) -> int | None:
    """Where the operation has become part of an earlier one; None if it has not."""
    for value in sorted(operation.reads(), key=lambda value: -makers.get(id(value), -1)):
        place = makers.get(id(value))
        if place is None or readers[id(value)] != 1 or found[place].y.shape != operation.y.shape:
            continue
        if _merge(found[place], operation, value, place, makers):
            found[place].y = operation.y
            found[place].labels += operation.labels
            return place
    return None


def _merge(maker: Operation, operation: Operation, value: Value, place: int, makers: dict[int, int]) -> bool:
    """Make `operation`, which reads `value`, part of its maker; False if that cannot be."""
    if isinstance(operation, Affine):
        if not isinstance(maker, Convolution) or maker.other is not None or not maker.plain():
            return False
        maker.fold(operation.scale, operation.shift)
        maker.relu, maker.function = operation.relu, operation.function
        return True
    if isinstance(operation, Element):
        assert operation.function is not None
        relu = operation.function[0] == "relu"
        if relu and maker.takes_relu():
            maker.relu = True
            return True
        if not relu and maker.takes_functions():
            maker.function = operation.function
            return True
        return False
    if isinstance(operation, Arithmetic) and operation.sign == "+" and maker.takes_sums():
        other = operation.other if value is operation.x else operation.x
        assert other is not None
        ready = makers.get(id(other), -1) < place  # made before, or entered
        if not ready or other.shape != operation.y.shape or other is value:
            return False
        maker.add(other)
        maker.relu = operation.relu
        return True
    return False
