"""The backends under test: each that is installed, native once for every instruction set of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from minidl import kernels


class Variant(NamedTuple):
    name: str
    isa: str | None


def label(variant: Variant) -> str:
    return variant.name if variant.isa is None else f"{variant.name}-{variant.isa}"


@contextmanager
def using(variant: Variant) -> Iterator[Any]:
    """The backend in use, with this instruction set; both choices are undone at the end."""
    with kernels.use(variant.name) as backend:
        if variant.isa is None:
            yield backend
            return
        previous = backend.isa()
        backend.use_isa(variant.isa)
        try:
            yield backend
        finally:
            backend.use_isa(previous)


@contextmanager
def direct_sums(backend: Any, asked: bool = True) -> Iterator[None]:
    """No Winograd, if asked: its larger tiles have roots in them, and sums of whole numbers do not stay whole."""
    direct = asked and backend.name == "native"
    if direct:
        backend.use_winograd(0)
    try:
        yield
    finally:
        if direct:
            backend.use_winograd(4)


def _installed() -> Iterator[Variant]:
    for name in kernels.available():
        with kernels.use(name) as backend:
            isas = backend.isas() if name == "native" else (None,)
        yield from (Variant(name, isa) for isa in isas)


ALL = tuple(_installed())
COMPILED = tuple(variant for variant in ALL if variant.name != "reference")
NATIVE = tuple(variant for variant in ALL if variant.name == "native")
