"""tools/differential.py: a few of its cases, each operation of the contract among them, and wrong results are seen."""

from __future__ import annotations

from typing import Any

import differential
import numpy as np
import pytest
from kernels import variants

from minidl.kernels import assemble

pytestmark = pytest.mark.skipif(len(variants.COMPILED) < 2, reason="compares backends")
ROUNDS, MOST = 6, 60


def test_backends_agree_on_each_operation() -> None:
    """Of six rounds; of more until the last operation was drawn, which took 17 and more with one of 13 seeds."""
    called: set[str] = set()
    count, size = 0, len(differential.CHAINS)
    for number in range(MOST * size):
        if number >= ROUNDS * size and called == set(assemble.OPERATIONS):
            break
        count += differential.case(number, 0, called)
    assert called == set(assemble.OPERATIONS)
    assert count > 2000


@pytest.mark.parametrize("chain", ["linear", "conv2d"])
def test_a_wrong_backend_is_seen(monkeypatch: pytest.MonkeyPatch, chain: str) -> None:
    first = [kind.__name__ for kind in differential.CHAINS].index(chain)
    with variants.using(variants.COMPILED[0]) as backend:
        right = getattr(backend, f"{chain}_forward")

    def wrong(x: Any, w: np.ndarray, *others: Any) -> Any:
        return right(x, w + w.dtype.type(1e-3), *others)

    monkeypatch.setattr(backend, f"{chain}_forward", wrong)
    numbers = [first + turn * len(differential.CHAINS) for turn in range(10)]  # of no images there is nothing to see
    with pytest.raises(differential.DisagreementError, match=f"{chain}, .*, y: "):
        sum(differential.case(number, 0, set()) for number in numbers)
