"""A backend is complete, or importing it says what is missing, what is there twice, and where was looked."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from kernels import variants

from minidl import kernels
from minidl.kernels import assemble, reference, select


@pytest.fixture
def family(monkeypatch):
    """Makes modules of the reference's operations, and a backend to collect them in."""

    def make(name, operations):
        module = ModuleType(name)
        vars(module).update({operation: getattr(reference, operation) for operation in operations})
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return make


def test_every_operation_is_collected(family):
    names = sorted(assemble.OPERATIONS)
    family("first", names[:20])
    family("second", names[20:])
    backend = family("backend", [])
    assemble.collect("backend", ["first", "second"])
    assert {name: getattr(backend, name) for name in names} == {name: getattr(reference, name) for name in names}


def test_what_is_missing_is_said(family):
    family("first", set(assemble.OPERATIONS) - {"relu_forward", "blend"})
    family("backend", [])
    with pytest.raises(
        ImportError, match=r"^backend: blend is missing, relu_forward is missing; searched: first, list$"
    ):
        assemble.collect("backend", ["first"], [])


def test_what_is_there_twice_is_said(family):
    family("first", assemble.OPERATIONS)
    family("second", ["blend"]).blend = lambda a, b, share: None
    family("backend", [])
    with pytest.raises(ImportError, match=r"^backend: blend is in first and second; searched: first, second$"):
        assemble.collect("backend", ["first", "second"])


def test_a_function_that_is_passed_on_is_no_second_one(family):
    family("first", assemble.OPERATIONS)
    family("second", ["reshape"])
    assemble.collect(family("backend", []).__name__, ["first", "second"])


def test_an_incomplete_backend_is_an_error_not_an_absence(monkeypatch):
    """Else a forgotten function would choose a slower backend in silence."""

    def load(name):
        raise assemble.IncompleteError(name)

    monkeypatch.setattr(select.importlib, "import_module", load)
    monkeypatch.setattr(select, "_loaded", {})
    with pytest.raises(assemble.IncompleteError):
        kernels.available()


@pytest.mark.parametrize("name", sorted({variant.name for variant in variants.ALL}))
@pytest.mark.parametrize("operation", assemble.OPERATIONS)
def test_docstrings(name, operation):
    """The contract's; the reference may have a sentence of its own."""
    with kernels.use(name) as backend:
        text = getattr(backend, operation).__doc__
    assert text
    if name != "reference":
        assert text.strip() == assemble.OPERATIONS[operation].__doc__.strip()
