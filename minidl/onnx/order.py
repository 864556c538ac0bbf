"""Operators in an order in which each one's inputs are there."""

from __future__ import annotations

import heapq

from minidl.onnx.read import File, Operator


def ordered(file: File) -> list[Operator]:
    """The operators that the outputs depend on, each after those that it reads, else in the file's order.

    Raises ValueError that names file and node for a value that nothing gives, or two do, and for a circle.
    """
    giver: dict[str, int] = {}
    given = {port.name for port in file.inputs} | file.constants.keys()
    for i, operator in enumerate(file.operators):
        for name in filter(None, operator.outputs):
            if name in giver or name in given:
                raise ValueError(f"{file.who}, node {operator.name!r}: its output {name!r} is there already")
            giver[name] = i
    needs: dict[int, list[int]] = {}
    if not file.outputs:
        raise ValueError(f"{file.who}: it has no outputs")
    for name in file.outputs:
        if name not in giver and name not in given:
            raise ValueError(f"{file.who}: nothing gives its output {name!r}")
    waiting = [giver[name] for name in file.outputs if name in giver]
    while waiting:
        i = waiting.pop()
        if i in needs:
            continue
        operator = file.operators[i]
        for name in filter(None, operator.inputs):
            if name not in giver and name not in given:
                raise ValueError(
                    f"{file.who}, node {operator.name!r} ({operator.kind}): nothing gives its input {name!r};"
                    " an initialiser is missing"
                )
        needs[i] = sorted({giver[name] for name in operator.inputs if name in giver})
        waiting += needs[i]
    readers: dict[int, list[int]] = {i: [] for i in needs}
    for i, sources in needs.items():
        for source in sources:
            readers[source].append(i)
    left = {i: len(sources) for i, sources in needs.items()}
    ready = [i for i, count in left.items() if not count]
    heapq.heapify(ready)
    found: list[Operator] = []
    while ready:
        i = heapq.heappop(ready)
        found.append(file.operators[i])
        for reader in readers[i]:
            left[reader] -= 1
            if not left[reader]:
                heapq.heappush(ready, reader)
    if len(found) < len(needs):
        stuck = next(file.operators[i] for i in sorted(needs) if left[i])
        raise ValueError(f"{file.who}, node {stuck.name!r} ({stuck.kind}): it depends on its own output")
    return found
