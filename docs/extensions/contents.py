"""The sidebar is made of the lists of links that a reader sees: each index.md names its pages once.

Links of docs/index.md stand under its headings; an index.md further down lists the pages beside it.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LINE = re.compile(r"^(?:[-*]|\d+\.|\|) .*?\]\(([\w./-]+\.md)\)", re.MULTILINE)
"""An item of a list or a row of a table, and the first page that it links to."""


def trees(page: str, text: str) -> str:
    """Hidden toctrees for the links of an index, one for each heading that has some."""
    found = []
    for part in re.split(r"(?m)^(?=## )", text):
        links = [link.removesuffix(".md") for link in LINE.findall(part)]
        links = [link for link in links if posixpath.normpath(link)[:2] != ".."]
        if links:
            heading = re.match(r"## (.*)", part)
            caption = f":caption: {heading[1]}\n" if heading and page == "index" else ""
            found.append("```{toctree}\n:hidden:\n" + caption + "\n" + "\n".join(links) + "\n```\n")
    return "\n".join(found)


def add(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append the toctrees to a page that is called index."""
    if docname.rpartition("/")[2] == "index":
        source[0] += "\n\n" + trees(docname, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen before `outside` changes links."""
    app.connect("source-read", add, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
