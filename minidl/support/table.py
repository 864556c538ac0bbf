"""Rows of text as aligned columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,), foot: int = 0) -> str:
    """The rows below their head and a rule; columns that are empty in all rows are left out.

    left: columns that are aligned to the left, the others are to the right. foot: so many last rows stand below a rule.
    """
    columns = [i for i in range(len(head)) if any(row[i] for row in rows)]
    width = {i: max(len(row[i]) for row in [head, *rows]) for i in columns}
    lines = [
        "  ".join(row[i].ljust(width[i]) if i in left else row[i].rjust(width[i]) for i in columns).rstrip()
        for row in [head, *rows]
    ]
    rule = "-" * max(map(len, lines))
    body = len(lines) - foot
    return "\n".join([lines[0], rule, *lines[1:body], *([rule] if foot else []), *lines[body:]])
