"""Docstrings are plain text with `names` and indented formulas; for Sphinx they become reStructuredText."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import minidl

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LINKED = frozenset(name for name in minidl.__all__ if name[0].isupper())
"""Names that a docstring's `Conv2D` leads to."""

ITEM = re.compile(r"[-*] ")
NUMBERED = re.compile(r"^(\(?(?:\w|\d+)[.)]) ")


def inline(text: str) -> str:
    """One line: words in single or double backticks are code or links, all else is plain."""
    pieces = re.split(r"(``.+?``|`[^`]+`)", text)
    for i, piece in enumerate(pieces):
        if i % 2:
            code = piece.strip("`")
            pieces[i] = f"\\ :py:obj:`{code} <minidl.{code}>`\\ " if code in LINKED else f"\\ ``{code}``\\ "
        else:
            pieces[i] = re.sub(r"([\\*_|`])", r"\\\1", piece)
    return "".join(pieces)


def converted(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText. Indented lines after a gap or a colon are shown as they stand."""
    out: list[str] = []
    literal = in_list = False
    before = ""
    for line in lines:
        indented = line.startswith("  ")
        if not line.strip():
            out.append("")
        elif indented and (literal or not in_list) and (literal or not before.strip() or before.rstrip().endswith(":")):
            if not literal:
                out += ["", "::", ""]
            literal = True
            out.append("    " + line)
        else:
            if literal:
                out.append("")
            literal = False
            item = bool(ITEM.match(line))
            if item != in_list and not (in_list and indented):
                out.append("")
            in_list = item or (in_list and indented)
            words = line.strip()
            if item:
                out.append("- " + inline(words[2:]))
            else:
                out.append(("  " if in_list else "") + inline(NUMBERED.sub(r"\1\\ ", words)))
        before = line
    return out


def convert(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """What autodoc calls with each docstring."""
    lines[:] = converted(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen to autodoc."""
    app.connect("autodoc-process-docstring", convert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
