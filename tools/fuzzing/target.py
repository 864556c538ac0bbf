"""What is attacked: a reader, inputs to begin with, and what it may say to bad ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fuzzing.changes import change_bytes

Change = Callable[[random.Random, bytes, "list[bytes]"], bytes]
"""(rng, an input, others of the same target) -> another input."""


@dataclass(frozen=True)
class Target:
    """A reader under attack.

    name: its folder in tests/corpus. seeds: inputs to begin with. read: reads one, and raises what is none of the
    `refusals` where something is wrong. names: a text that each refusal must hold, such as the file's name. change:
    makes other inputs. most: bytes that an input may have. growth: bytes by which one may raise the largest memory.
    """

    name: str
    seeds: Callable[[], Iterable[bytes]]
    read: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...]
    names: str = ""
    change: Change = change_bytes
    most: int = 2**14
    growth: int = 2**28
