"""A program of training of a few steps: arrays go into maps with halos, and come out of maps that were full of NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl

training_program = pytest.importorskip("minidl._ext.training_program")
program = pytest.importorskip("minidl._ext.program")
maps = pytest.importorskip("minidl._ext.map")

HALO = 1, 2, 0, 3
ELEMENTS = 1 << 19


class Steps:
    """p: the program; its maps lie in the arena one after another."""

    def __init__(self, dtype: Any, n: int) -> None:
        self.p = training_program.TrainingProgram(dtype, ELEMENTS)
        self.L, self.dtype, self.n = int(self.p.L), np.dtype(dtype), n
        self.end = 0
        self.coming: list[np.ndarray] = []
        self.going: list[tuple[int, int, int]] = []

    def both(self, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """A map, and the same memory as one without a halo or missing channels."""
        (C, H, W), (top, bottom, left, right) = shape, HALO
        full = -(-C // self.L) * self.L, H + top + bottom, W + left + right
        m, whole = maps.Map((C, H, W), self.L, HALO, self.end), maps.Map(full, self.L, (0, 0, 0, 0), self.end)
        self.end += -(-m.size // 64) * 64
        return m, whole

    def enter(self, m: Any, array: np.ndarray) -> None:
        """The next array that comes in."""
        self.p.enter(m, self.dtype)
        self.coming.append(np.ascontiguousarray(array, self.dtype))

    def given(self, array: np.ndarray) -> Any:
        """A map of these images (n, C, H, W)."""
        m, _ = self.both(array.shape[1:])
        self.enter(m, array)
        return m

    def result(self, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """A map of NaN, missing channels and halo included, and what `leave` is to be told of it."""
        m, whole = self.both(shape)
        self.enter(whole, np.full((self.n, *whole.shape), np.nan))
        return m, whole

    def leave(self, whole: Any, shape: tuple[int, ...]) -> None:
        """The next map that goes out."""
        self.p.leave(whole, whole.shape)
        self.going.append(tuple(shape))  # type: ignore[arg-type]

    def run(self) -> list[np.ndarray]:
        """What goes out, after a look at halos and missing channels, which hold zeros."""
        self.p.turn()
        found = []
        for out, (C, H, W) in zip(self.p.forward(self.n, *self.coming), self.going, strict=True):
            inside = np.s_[:, :C, HALO[0] : HALO[0] + H, HALO[2] : HALO[2] + W]
            found.append(out[inside].copy())
            out[inside] = 0
            assert not out.any(), "a halo or a missing channel is not zero"
        return found


def same_for_any_threads(run: Callable[[], list[np.ndarray]]) -> None:
    """Hold `run` to the same bits on one, two and three threads."""
    found, before = [], minidl.get_num_threads()
    try:
        for threads in (1, 2, 3):
            minidl.set_num_threads(threads)
            found.append(run())
    finally:
        minidl.set_num_threads(before)
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, another)
