"""A backend out of its families' modules: each operation of the contract is found by its name, and nothing else is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import FunctionType
from typing import Any

from minidl.kernels import contract

FAMILIES = (
    *("layout", "conv", "conv_transpose", "matrix", "pooling", "linear", "activation", "norm", "row_norm"),
    *("local_response", "dropout", "capsule", "boxes", "resize", "elementwise", "arithmetic", "matmul", "reduce"),
    *("loss", "update"),
)
"""Modules of operations, one name for a family in every backend, in `minidl.functional` and in the tests."""

OPERATIONS = {
    name: stated
    for part in reversed(contract.Backend.__mro__)
    for name, stated in vars(part).items()
    if isinstance(stated, FunctionType) and name[0] != "_"
}


class IncompleteError(ImportError):
    """A backend lacks an operation of the contract, or has it twice."""


def collect(backend: str, modules: Sequence[str], *others: Any) -> None:
    """Give the module `backend` every operation of the contract, out of `modules` and `others`, objects that have some.

    A function without a docstring gets the contract's. Raises IncompleteError that names every operation which is
    missing or is there more than once, and what was searched.
    """
    sources = {name: import_module(name) for name in modules} | {type(other).__name__: other for other in others}
    target, wrong = sys.modules[backend], []
    for name, stated in OPERATIONS.items():
        found = {home: getattr(source, name) for home, source in sources.items() if hasattr(source, name)}
        if len(set(found.values())) != 1:
            wrong.append(f"{name} is in {' and '.join(found)}" if found else f"{name} is missing")
            continue
        operation = next(iter(found.values()))
        if not operation.__doc__:
            getattr(operation, "__func__", operation).__doc__ = stated.__doc__
        setattr(target, name, operation)
    if wrong:
        raise IncompleteError(f"{backend}: {', '.join(wrong)}; searched: {', '.join(sources)}")
