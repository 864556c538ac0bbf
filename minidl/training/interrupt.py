"""Ctrl-C as a request that a loop can grant between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, granted between two steps: all is as a finished step left it."""


class Interrupt:
    """While this context is open, the first Ctrl-C only makes the next `check` raise Interrupted.

    No training step is then left half done. A second Ctrl-C does not wait. Outside the main thread, and where somebody
    else handles SIGINT, nothing changes.
    """

    def __init__(self) -> None:
        self.asked = False
        self._installed = False

    def __enter__(self) -> Interrupt:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(self, *error: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._installed = False

    def check(self) -> None:
        """Raise Interrupted if Ctrl-C was pressed."""
        if self.asked:
            raise Interrupted

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
