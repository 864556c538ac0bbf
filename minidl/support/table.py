"""Rows of text as aligned columns; notebooks show the same rows as an HTML table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

STYLE = "font-variant-numeric:tabular-nums; white-space:nowrap; text-align:"


class Table(str):
    """The text that `table` makes, a str in every respect; a notebook shows it as an HTML table.

    A report class with such a text in `__str__` needs but `def _repr_html_(self): return self.table()._repr_html_()`.
    """

    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    left: Collection[int] = (0,)
    foot: int = 0
    caption: str = ""

    def _repr_html_(self) -> str:
        """The rows as an HTML table, every text escaped; the foot is in bold."""
        from html import escape

        columns = _columns(self.head, self.rows)

        def line(row: Sequence[str], tag: str) -> str:
            sides = ["left" if i in self.left else "right" for i in columns]
            cells = [f'<{tag} style="{STYLE}{side}">{escape(row[i])}</{tag}>' for i, side in zip(columns, sides)]
            return f"<tr>{''.join(cells)}</tr>"

        body = len(self.rows) - self.foot
        parts = (
            ("thead", [line(self.head, "th")]),
            ("tbody", [line(row, "td") for row in self.rows[:body]]),
            ("tfoot", [line(row, "th") for row in self.rows[body:]]),
        )
        caption = f'<caption style="text-align:left">{escape(self.caption)}</caption>' if self.caption else ""
        body_html = "".join(f"<{tag}>{''.join(lines)}</{tag}>" for tag, lines in parts if lines)
        return f"<table>{caption}{body_html}</table>"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int] = (0,),
    foot: int = 0,
    caption: str = "",
) -> Table:
    """The rows below their head and a rule; columns that are empty in all rows are left out.

    left: columns that are aligned to the left, the others are to the right. foot: so many last rows stand below a rule.
    caption: a line above the head. Returns a str that notebooks show as a table.
    """
    columns = _columns(head, rows)
    width = {i: max(len(row[i]) for row in [head, *rows]) for i in columns}
    lines = [
        "  ".join(row[i].ljust(width[i]) if i in left else row[i].rjust(width[i]) for i in columns).rstrip()
        for row in [head, *rows]
    ]
    rule = "-" * max(map(len, lines))
    body = len(lines) - foot
    above = [caption] if caption else []
    text = Table("\n".join([*above, lines[0], rule, *lines[1:body], *([rule] if foot else []), *lines[body:]]))
    text.head, text.rows, text.left, text.foot, text.caption = head, rows, left, foot, caption
    return text


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """The columns that some row has a text in."""
    return [i for i in range(len(head)) if any(row[i] for row in rows)]
