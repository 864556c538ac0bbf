"""The instruction sets, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kernels import variants


@pytest.fixture(params=variants.NATIVE, ids=lambda variant: variant.isa)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of each that this machine has, in use."""
    with variants.using(request.param):
        yield request.param.isa
