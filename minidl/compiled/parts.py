"""A plan in parts: layers that programs compute, as many together as can be, and layers that run by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.compiled.lowering import Unlowered
from minidl.compiled.segment import Foreign, Scaling, Segment
from minidl.layers.plan import Plan, numbers
from minidl.support.several import joined, parted


def parts_of(
    plan: Plan,
    shapes: Sequence[tuple[int, ...]],
    given: Sequence[np.dtype],
    segment: Callable[[], Segment],
    foreign: Callable[[Any, str, Any], Foreign],
    scaling: Scaling,
) -> list[Segment | Foreign]:
    """The parts of a plan whose inputs have these shapes, (C, H, W) of an image, and dtypes.

    segment, foreign: make a part, the latter of a step, its place and the backend. Raises Unlowered where an input is
    no image, or an output is an input.
    """
    if any(len(shape) != 3 for shape in shapes):
        raise Unlowered("inputs that are no images")
    inputs, outputs = len(given), numbers(plan.output)
    if min(outputs) < inputs:
        raise Unlowered("an output that is an input")
    last: dict[int, int] = {}  # step that reads a value last
    for i, step in enumerate(plan.layers):
        last.update(dict.fromkeys(numbers(step.read), i))
    last.update(dict.fromkeys(outputs, len(plan.layers)))
    known = shapes_of(plan, shapes)
    found: list[Segment | Foreign] = []
    open_one: Segment | None = None

    def close(needed: Sequence[int]) -> None:
        if open_one is not None:
            open_one.close(needed)
            if open_one.writes:  # maybe of a view alone, as Dropout's
                found.append(open_one)

    for i, step in enumerate(plan.layers):
        label, reads = plan.places[id(step.node)], numbers(step.read)
        open_one = here = open_one or segment()
        try:
            for value in reads:
                if value < inputs:
                    here.enter(value, tuple(map(int, known[value])), given[value], *scaling(value))
                else:
                    here.enter(value, tuple(map(int, known[value])), here.dtype)
            here.lower(label, step)
        except Unlowered:
            if any(value < inputs and given[value] != here.dtype for value in reads):
                raise
            close([value for value, end in last.items() if end >= i])
            found.append(foreign(step, label, plan.backend))
            open_one = None
    close(outputs)
    return found


def shapes_of(plan: Plan, shapes: Sequence[tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    """The shape of an image of every value of a plan, by its number. Raises ValueError, as the layers' checks."""
    known: dict[int, tuple[int, ...]] = dict(enumerate(shapes))
    for step in plan.layers:
        outside = [(1, *known[value]) for value in numbers(step.read)]
        made = step.node._check(joined(outside) if step.node.merges else outside[0])
        several = parted(made) if step.node.outputs > 1 else [made]
        known.update((value, tuple(shape[1:])) for value, shape in zip(numbers(step.write), several))
    return known
