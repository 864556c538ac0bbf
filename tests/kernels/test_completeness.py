"""Whoever adds an operation to the contract is led to every place where it has to stand; CONTRIBUTING lists them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernels import gradients, operations

import minidl.functional
import minidl.layers.activation
from minidl.kernels import reference
from minidl.kernels.assemble import OPERATIONS

LAYOUT = {"enter", "batches", "leave", "gather", "reshape", "add"}
"""How arrays come in and out: no operation of a network."""
BLOCKS = {name for name in OPERATIONS if "_block_" in name}
"""What the sandwiches of `minidl.functional` are made of."""
PLAIN = [name for name in OPERATIONS if name not in LAYOUT | BLOCKS | {"together"}]
GRADIENTS = [
    name
    for name, stated in OPERATIONS.items()
    if name.endswith("_backward") or stated.__annotations__["return"].startswith("tuple[float, Array")  # losses
]

ROOT = Path(__file__).parents[2]
PAGE, README = ROOT / "docs" / "operations.md", ROOT / "README.md"
ELEMENTWISE = sorted({name.rpartition("_")[0] for name in PLAIN if hasattr(reference.activation, name)})


class Recorder:
    """The reference, and which of its operations were called."""

    def __init__(self) -> None:
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(reference, name)


@cache
def compared() -> set[str]:
    recorder = Recorder()
    operations.results(recorder, np.float64, 1, 4)
    return recorder.called


@pytest.mark.parametrize("operation", PLAIN)
def test_functional_offers_it(operation):
    assert operation in minidl.functional.__all__, f"write it in minidl/functional: {operation}"


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "batches"])
def test_the_backends_are_compared(operation):
    assert operation in compared(), f"call it in tests/kernels/operations.py (activations: cases.py): {operation}"


@pytest.mark.parametrize("operation", GRADIENTS)
def test_its_gradient_is_checked(operation):
    assert operation in set(gradients.CASES), (
        f"add it to tests/kernels/gradients.py (activations: cases.py): {operation}"
    )


@pytest.mark.skipif(not PAGE.is_file(), reason="docs are not installed")
@pytest.mark.parametrize("operation", PLAIN)
def test_its_formula_is_in_the_docs(operation):
    assert re.search(rf"`{operation}\(", PAGE.read_text("utf-8")), f"state it in docs/operations.md: {operation}(...)"


@pytest.mark.parametrize("operation", ELEMENTWISE)
def test_an_activation_is_a_layer(operation):
    layer = operation.title().replace("_", "")
    assert layer in minidl.layers.activation.__all__, (
        f"write it in minidl/layers/activation.py, and in __all__: {layer}"
    )
    assert layer in minidl.__all__, f"import it in minidl/__init__.py, and name it in __all__: {layer}"
    assert f"    {layer} " in minidl.layers.activation.__doc__, (
        f"state it on top of minidl/layers/activation.py: {layer}"
    )
    if README.is_file():
        assert re.search(rf"\b{layer}\b", README.read_text("utf-8")), f"add it to the layers of README.md: {layer}"
