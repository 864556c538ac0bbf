"""`.. public:: minidl.data` documents every public name of a module: the reference cannot fall behind the code."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import minidl


def public_names(module: ModuleType) -> list[str]:
    """What `__all__` says; where there is none, what the module defines itself without an underscore."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    defined = (name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
    return sorted(name for name in defined if not name.startswith("_"))


def described(module: str) -> list[str]:
    """reStructuredText for all public names of a module; those that `minidl` itself has are described there."""
    lines, elsewhere = [], []
    found = importlib.import_module(module)
    for name in public_names(found):
        value = getattr(found, name)
        if inspect.ismodule(value) or name.startswith("__"):
            continue
        if module != "minidl" and getattr(minidl, name, None) is value and name in minidl.__all__:
            elsewhere.append(f":py:obj:`minidl.{name}`")
        elif inspect.isclass(value):
            lines += [f".. autoclass:: {module}.{name}", "   :members:", "   :show-inheritance:", ""]
        elif callable(value):
            lines += [f".. autofunction:: {module}.{name}", ""]
        else:
            lines += [f".. autodata:: {module}.{name}", "   :no-value:", ""]
    if elsewhere:
        lines = ["Also here: " + ", ".join(elsewhere) + ".", "", *lines]
    return lines


class Public(SphinxDirective):
    """The directive; its argument is a module."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """The module's docstring, then its names."""
        module = self.arguments[0]
        lines = [f".. automodule:: {module}", "   :no-members:", "", *described(module)]
        return self.parse_text_to_nodes("\n".join(lines))


def public_bases(app: Sphinx, name: str, obj: object, options: Any, bases: list[type]) -> None:
    """In place of a base with an underscore the first one without, in the order of the search for attributes."""
    orders = [getattr(base, "__mro__", (base,)) for base in bases]
    bases[:] = [next(each for each in order if not each.__name__.startswith("_")) for order in orders]


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer the directive, and look at what autodoc says of bases."""
    app.add_directive("public", Public)
    app.connect("autodoc-process-bases", public_bases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
