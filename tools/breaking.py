"""What happens within the writing of a file: each call to the system, with a say before, in the middle and after."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from minidl.support import atomic

CALLS = ("open", "fchmod", "fsync", "replace", "close")

Act = Callable[[int, str], None]
"""(number, "before open"): called at that moment. It may not come back, or raise what the call raises."""


class Calls:
    """Stands for `os` in `minidl.support.atomic`, and for the file there: `act` is told of each moment of each call.

    Moments count from 1: before and after each of `CALLS`, and before, in the middle and after each write.
    """

    def __init__(self, act: Act) -> None:
        self.act, self.count = act, 0
        self.file: Any = None

    def moment(self, what: str) -> None:
        """One of them."""
        self.count += 1
        self.act(self.count, what)

    def __getattr__(self, name: str) -> Any:
        """The function of os, with a moment before and after it."""
        function = getattr(os, name)
        if name not in CALLS:
            return function

        def call(*arguments: Any) -> Any:
            self.moment(f"before {name}")
            result = function(*arguments)
            self.moment(f"after {name}")
            return result

        return call

    def fdopen(self, descriptor: int, mode: str) -> Calls:
        """The file, written through this object."""
        self.file = os.fdopen(descriptor, mode)
        return self

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, part: Any) -> None:
        """In two halves, each at once."""
        content = memoryview(part).cast("B")
        middle = len(content) // 2
        for moment, half in (("before", content[:middle]), ("in the middle of", content[middle:])):
            self.moment(f"{moment} write")
            self.file.write(half)
            self.file.flush()
        self.moment("after write")

    def flush(self) -> None:
        """As the file does."""
        self.file.flush()

    def fileno(self) -> int:
        """As the file does."""
        return self.file.fileno()


def watch(act: Act) -> Calls:
    """Let `act` be told of each call from now on, in this process."""
    calls = Calls(act)
    atomic.os = calls  # type: ignore[attr-defined]
    return calls


def unwatch() -> None:
    """Let the calls go straight to the system again."""
    atomic.os = os  # type: ignore[attr-defined]


def kill_at(number: int) -> Act:
    """SIGKILL at the moment of this number, as from outside."""

    def act(count: int, what: str) -> None:
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return act
