"""Every backend offers exactly the contract's operations, with the contract's signatures."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest
from kernels import variants

from minidl import kernels
from minidl.kernels import contract

OPERATIONS = {name: f for name, f in inspect.getmembers(contract.Backend, inspect.isfunction) if name[0] != "_"}
SETTINGS = {"name", "fuses"}
OF_NATIVE = {"compiles", "config", "get_num_threads", "isa", "isas", "set_num_threads", "use_isa", "use_winograd"}
"""What only a backend with instruction sets and threads has besides."""

BACKENDS = sorted({variant.name for variant in variants.ALL})


def parameters(function, skip=0):
    """Names, kinds and defaults; a backend may annotate more narrowly than the contract."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()][skip:]


def test_the_contract_is_seen():
    assert len(OPERATIONS) > 40
    assert "conv2d_forward" in OPERATIONS


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_signatures(name, operation):
    with kernels.use(name) as backend:
        expected = parameters(OPERATIONS[operation], skip=1)
        assert parameters(getattr(backend, operation)) == expected


@pytest.mark.parametrize("name", BACKENDS)
def test_no_other_public_names(name):
    with kernels.use(name) as backend:
        public = {
            key
            for key, value in vars(backend).items()
            if not key.startswith("_") and key != "annotations" and not isinstance(value, ModuleType)
        }
    extra = OF_NATIVE & public if name == "native" else set()
    assert public - extra == OPERATIONS.keys() | SETTINGS


@pytest.mark.parametrize("name", BACKENDS)
def test_settings(name):
    with kernels.use(name) as backend:
        assert backend.name == name
        assert backend.fuses is (name == "native")
