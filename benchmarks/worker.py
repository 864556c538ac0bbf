"""One process a contender: the parent's handle (`Worker`) and the loop that answers it (`serve`).

Separate processes keep one library's threads, allocator and settings from another's. They speak pickle over pipes; a
process that was not asked anything waits in a read and uses no processor.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from benchmarks.contenders import Contender
from benchmarks.machine import memory
from benchmarks.tasks import Case, Task, Unsupported

ROOT = Path(__file__).resolve().parent.parent
PAUSE = 0.05
"""Seconds of silence before a sample: threads of the contender before may still spin, ONNX Runtime's for some 35 ms."""


class Late(RuntimeError):
    """A process was ended since its answer did not come in time."""


class Worker:
    """A contender's process.

    contender, threads: whom to start. version: of its library. Raises RuntimeError with the process's own words if
    it fails.
    """

    def __init__(self, contender: Contender, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=contender.environment(threads),
            start_new_session=True,  # Ctrl-C is the parent's affair
        )
        try:
            self.version: str = self._ask("start", contender, threads)
        except BaseException:
            self.close()
            raise

    def prepare(self, task: Task) -> list[str]:
        """Make a task ready; the names of its measures. Raises tasks.Unsupported."""
        return self._ask("prepare", task)

    def outputs(self, limit: float = math.inf) -> dict[str, np.ndarray]:
        """The prepared task's arrays for validation. Raises Late, and ends the process, after `limit` seconds."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(limit, end) if limit < math.inf else None
        try:
            if timer:
                timer.start()
            return self._ask("outputs")
        except RuntimeError:
            if late.is_set():
                raise Late(f"nothing within {limit:.0f} s") from None
            raise
        finally:
            if timer:
                timer.cancel()

    def moved(self) -> dict[str, np.ndarray]:
        """The prepared task's arrays for images and parameters that are a little off; before `outputs`."""
        return self._ask("moved")

    def sampler(self, measure: str) -> Callable[[int, bool], float]:
        """A function of (calls, warm): seconds a call, the mean of `calls` in a row, after one untimed call if
        `warm`.
        """
        return lambda calls, warm: self._ask("sample", measure, calls, warm)

    def memory(self) -> tuple[int, int]:
        """Bytes resident after the library's import, and at the peak up to now."""
        return self._ask("memory")

    def release(self) -> None:
        """Drop the prepared task."""
        self._ask("release")

    def kill(self) -> None:
        """End the process at once, and the compilers that it has started."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, command: str, *arguments: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((command, arguments), self._process.stdin)
            self._process.stdin.flush()
            ok, answer = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise RuntimeError(f"the process ended during {command!r} (exit status {self._process.wait()})") from None
        if ok:
            return answer
        raise answer


class _Answers:
    """The child's side: one method a command."""

    def start(self, contender: Contender, threads: int) -> str:
        self.library = contender.load(threads)
        self.resident = memory()[0]
        return str(self.library.version)

    def prepare(self, task: Task) -> list[str]:
        self.case: Case = self.library.prepare(task)
        return list(self.case.runs)

    def outputs(self) -> dict[str, np.ndarray]:
        return self.case.outputs()

    def moved(self) -> dict[str, np.ndarray]:
        return self.case.moved()

    def sample(self, measure: str, calls: int, warm: bool) -> float:
        run = self.case.runs[measure]
        time.sleep(PAUSE)
        if warm:
            run()
        gc.disable()
        start = time.perf_counter()
        for _ in range(calls):
            run()
        seconds = time.perf_counter() - start
        gc.enable()
        return seconds / calls

    def memory(self) -> tuple[int, int]:
        return self.resident, memory()[1]

    def release(self) -> None:
        del self.case
        gc.collect()


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more."""
    answers = _Answers()
    while True:
        try:
            command, arguments = pickle.load(requests)
        except EOFError:
            return
        reply: tuple[bool, object]
        try:
            reply = True, getattr(answers, command)(*arguments)
        except Unsupported as reason:
            reply = False, reason
        except Exception:
            reply = False, RuntimeError(traceback.format_exc().strip())
        pickle.dump(reply, replies)
        replies.flush()


def main() -> None:
    """Keep the pipe to the parent for answers; whatever a library prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
