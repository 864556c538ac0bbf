"""The figure that every picture is drawn on. Importing this module imports matplotlib."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A matplotlib Figure that shows itself where it is the last value of a notebook's cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        """The picture as it is saved."""
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()
