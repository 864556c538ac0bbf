"""One operation of the backend in use, called with plain arrays."""

from __future__ import annotations

from functools import cache
from typing import Any

from minidl import kernels
from minidl.kernels import contract


def call(operation: str, *arguments: Any) -> Any:
    """The operation's result on checked arguments: what the contract calls an Array enters before and leaves after."""
    backend = kernels.current()
    entering, leaving = _arrays(operation)
    ready = [backend.enter(value) if array else value for value, array in zip(arguments, entering)]
    results = getattr(backend, operation)(*ready)
    if not isinstance(results, tuple):
        return backend.leave(results) if leaving[0] else results
    return tuple(backend.leave(value) if array else value for value, array in zip(results, leaving))


def write_back(originals: list[Any], ready: list[Any]) -> None:
    """Carry what an operation changed in place into the caller's arrays, where `checks.floats` had to copy them."""
    for original, array in zip(originals, ready, strict=True):
        if original is not None and original is not array:
            original[...] = array


@cache
def _arrays(operation: str) -> tuple[list[bool], list[bool]]:
    """Which of its arguments and of its results are the backend's own arrays, as the contract's annotations say."""
    *arguments, results = getattr(contract.Backend, operation).__annotations__.values()
    parts = results.removeprefix("tuple[").removesuffix("]").split(", ")
    return [argument == "Array" for argument in arguments], [part.startswith("Array") for part in parts]
