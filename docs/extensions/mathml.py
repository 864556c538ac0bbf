"""Formulas as MathML: browsers draw it without a script, a font or a server."""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def mathml(source: str, display: str = "inline") -> str:
    """One formula. The converter knows `split`, which is laid out as `aligned` and which forges do not know."""
    return convert(source.replace("{aligned}", "{split}"), display=display)


def inline(translator: Any, node: nodes.math) -> None:
    """A formula within a line."""
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """A formula on lines of its own; its source stands in the title, to be read aloud or copied."""
    source = node.astext().strip()
    drawn = mathml(source, "block")
    translator.body.append(f'<div class="formula" title="{html.escape(source)}">{drawn}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer the renderer, which html_math_renderer chooses."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
