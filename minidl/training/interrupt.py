"""Ctrl-C and SIGTERM as requests that a loop can grant between two steps."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

USUAL: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
"""The signals that are listened to, where this is what handles them."""


class Interrupted(KeyboardInterrupt):
    """A request to end, granted between two steps: all is as a finished step left it."""


class Interrupt:
    """While this context is open, the first Ctrl-C or SIGTERM only makes the next `check` raise Interrupted.

    No training step is then left half done. A second one does not wait: KeyboardInterrupt for Ctrl-C, the end of the
    process for SIGTERM. Outside the main thread, and where somebody else handles a signal, nothing changes.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        """The signal that has come."""
        self._installed: list[signal.Signals] = []

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number, usual in USUAL.items():
                if signal.getsignal(number) is usual:
                    signal.signal(number, self._note)
                    self._installed.append(number)
        return self

    def __exit__(self, *error: object) -> None:
        for number in self._installed:
            signal.signal(number, USUAL[number])
        self._installed = []

    def check(self) -> None:
        """Raise Interrupted if one has come."""
        if self.asked is not None:
            raise Interrupted

    def pass_on(self) -> None:
        """After the context: end the process by SIGTERM if that has come, as it would have ended without us."""
        if self.asked == signal.SIGTERM:
            for stream in (sys.stdout, sys.stderr):
                flush = getattr(stream, "flush", None)  # what a program prints is else lost with its buffers
                if flush is not None:
                    flush()
            signal.raise_signal(signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked is None:
            self.asked = number
            return
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        raise KeyboardInterrupt
