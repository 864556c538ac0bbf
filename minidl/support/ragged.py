"""Lists whose entries have no common shape, in words."""

from __future__ import annotations

from typing import Any

import numpy as np


def first_difference(entries: Any) -> str:
    """Where the shapes begin to differ, and what to do: "(1, 8, 8) in row 0 and (1, 9, 8) in row 3; ..."."""
    shapes: list[tuple[int, ...]] = []
    for entry in entries:
        try:
            shapes.append(np.shape(entry))
        except ValueError:
            return f"a row {len(shapes)} that is ragged itself"
        first, last = shapes[0], shapes[-1]
        if last == first:
            continue
        remedy = ""
        if len(first) in (2, 4) and first[1:] == last[1:]:
            remedy = "; join the batches by np.concatenate(x), or bring all images to one size"
        elif len(first) > 1:
            remedy = "; bring all images to one size, or give one at a time"
        return f"{first} in row 0 and {last} in row {len(shapes) - 1}{remedy}"
    return "entries of one shape as objects; join them by np.stack(x)"
