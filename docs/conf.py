"""Sphinx's configuration of the book; `make docs` builds it into build/docs.

Pages are MyST Markdown. Those with a kernel in their head are executed when they are built, so every number and picture
on them is that of this checkout. Nothing comes from another server: formulas are MathML, drawn by browsers.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
# What pages import in their cells: the pictures of the book, and the solutions of its exercises.
os.environ.setdefault("MINIDL_OFFLINE", "1")  # a page never waits for a download
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(HERE / "book"), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)
# Kernels of pages start alike everywhere: without what a user's own IPython does, and they speak of errors alone.
profile = HERE.parent / "build" / "ipython" / "profile_default"
profile.mkdir(parents=True, exist_ok=True)
(profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n", encoding="utf-8")
os.environ["IPYTHONDIR"] = str(profile.parent)
logging.getLogger("traitlets").setLevel(logging.WARNING)

from minidl import __version__  # noqa: E402 - the line above says where it is

kept = [
    path
    for folder in (HERE.parent / "minidl", HERE / "book")
    for path in sorted(folder.rglob("*"))
    if path.suffix in {".py", ".pyx", ".pxd", ".c", ".h", ".gz", ".json"}
]
computed = hashlib.sha256(b"".join(path.read_bytes() for path in [*kept, HERE.parent / "README.md"])).hexdigest()[:16]
"""Of all that decides what a cell prints, besides the cell."""

project = "minidl"
author = "The minidl developers"
copyright = author
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "extensions.contents",
    "extensions.docstrings",
    "extensions.mathml",
    "extensions.outside",
    "extensions.public",
]
exclude_patterns = ["_build", "locale", "zh"]
root_doc = "index"
language = "en"
locale_dirs = ["zh/locale"]
gettext_compact = False
gettext_uuid = False

html_theme = "furo"
html_title = f"minidl {__version__}"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"

nitpicky = True
# Types in signatures are numpy's and the library's own shorthands, which have no page.
nitpick_ignore_regex = [("py:class", ".*")]

autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True

myst_enable_extensions = ["amsmath", "dollarmath", "attrs_block"]
myst_heading_anchors = 4

# What a page printed is kept as long as neither its cells nor anything of minidl has changed.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "notebooks" / computed)
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
