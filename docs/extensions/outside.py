"""Links that leave docs/ lead somewhere in the book too, though on a forge they are plain relative paths.

A page of one line, a link to a file such as [README](../../../README.md), stands for that file's text. Links to it then
lead to that page; links to other files become downloads, and those to folders their text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
STAND_IN = re.compile(r"\A\[[^\]]*\]\(([^)\s]+\.md)\)\s*\Z")
CODE = re.compile(r"(?ms)^( *)```.*?^\1```|`[^`\n]+`(?!\])")
"""Blocks and words of code, in which nothing is a link; code that is a link's text stays outside."""


def stand_ins(docs: Path) -> dict[Path, str]:
    """File outside docs -> the page that stands for it."""
    found = {}
    for page in sorted((docs / "book" / "project").glob("*.md")):
        match = STAND_IN.match(page.read_text("utf-8"))
        if match:
            found[(page.parent / match[1]).resolve()] = "/" + page.relative_to(docs).as_posix()
    return found


def lead(text: str, folder: Path, docs: Path, pages: dict[Path, str]) -> str:
    """The text with every link that is no address made to work within docs."""

    def changed(match: re.Match[str]) -> str:
        words, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if "://" in target or not path or path.startswith("/"):
            return match[0]
        other = (folder / path).resolve()
        if other in pages:
            return f"[{words}]({pages[other]}{hash_}{anchor})"
        if other.is_relative_to(docs):
            other = other / "index.md" if other.is_dir() else other
            return f"[{words}](/{other.relative_to(docs).as_posix()}{hash_}{anchor})"
        if other.is_file():
            return f"{{download}}`{words.strip('`')} </../{other.relative_to(docs.parent).as_posix()}>`"
        return words

    pieces, end = [], 0
    for code in CODE.finditer(text):
        pieces += [LINK.sub(changed, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, LINK.sub(changed, text[end:])])


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the other file's text in the place of a stand-in, and lead the links of every page."""
    docs = Path(app.srcdir).resolve()
    folder = Path(app.env.doc2path(docname)).resolve().parent
    match = STAND_IN.match(source[0])
    if match:
        other = (folder / match[1]).resolve()
        app.env.note_dependency(str(other))
        source[0], folder = other.read_text("utf-8"), other.parent
    source[0] = lead(source[0], folder, docs, stand_ins(docs))


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen after `contents`."""
    app.connect("source-read", read, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
