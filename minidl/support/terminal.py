"""What a text stream can do."""

from __future__ import annotations

import os
from typing import Any


def interactive(stream: Any) -> bool:
    """Whether a carriage return on the stream redraws a line: a terminal that is not dumb, or a notebook's output.

    A stream of somebody's own that does not know `isatty` is none.
    """
    if type(stream).__module__.startswith("ipykernel"):
        return True
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty()) and os.environ.get("TERM") != "dumb"
