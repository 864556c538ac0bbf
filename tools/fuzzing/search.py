"""The search: guided by what atheris sees of the code where that is installed, by the outcomes of inputs elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, ModuleType

from fuzzing.target import Target

SECONDS = 10
"""Of the processor, for one input."""
MEMORY = 2**32
"""Bytes of address space that a search may have."""


class FailureError(Exception):
    """An input did harm."""


class HangError(BaseException):
    """An input takes too long; no `except Exception` may take it."""


def attempt(target: Target, content: bytes) -> str:
    """Read an input; returns how it ended: "" if it was accepted, else which refusal came from where.

    Raises FailureError for any other exception, a warning that is not for users, too much time or memory.
    """
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    outcome = ""
    try:
        with _alarm(), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", UserWarning)
            try:
                target.read(content)
            except target.refusals as error:
                if target.names not in str(error):
                    raise AssertionError(f"the message does not name {target.names!r}: {error}") from error
                outcome = f"{type(error).__name__} {place(error)}"
    except (Exception, HangError) as error:
        raise FailureError(f"{type(error).__name__} {place(error)}") from error
    if time.process_time() - start > SECONDS:  # within one call, which no alarm ends
        raise FailureError("hang")
    growth = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if growth > target.growth:
        raise FailureError(f"memory {growth >> 20} MiB")
    return outcome


def place(error: BaseException) -> str:
    """File and line of minidl that an exception came through last."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if f"{os.sep}minidl{os.sep}" in each.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside"


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise HangError

    old = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)


class Search:
    """One search: what it found, and where it keeps that.

    out: folder for the inputs that did harm, the first of each kind, and for "last", the input that was tried last:
    where the process itself dies, that one did it.
    """

    def __init__(self, target: Target, out: Path, seed: int = 0) -> None:
        self.target, self.out, self.rng = target, out, random.Random(seed)
        out.mkdir(parents=True, exist_ok=True)
        self.runs = 0
        self.outcomes: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._last = os.open(out / "last", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def try_one(self, content: bytes) -> bool:
        """Whether an input ended as none before it."""
        os.pwrite(self._last, content, 0)
        os.ftruncate(self._last, len(content))
        self.runs += 1
        try:
            outcome = attempt(self.target, content)
        except FailureError as failure:
            self.failures[str(failure)] += 1
            if self.failures[str(failure)] == 1:
                name = hashlib.sha256(content).hexdigest()[:12]
                (self.out / f"failure-{name}").write_bytes(content)
                (self.out / f"failure-{name}.txt").write_text("".join(traceback.format_exception(failure)))
            return False
        self.outcomes[outcome] += 1
        return self.outcomes[outcome] == 1

    def change(self, content: bytes, files: list[bytes]) -> bytes:
        """Another input, of at most as many bytes as the target takes."""
        return self.target.change(self.rng, content, files)[: self.target.most]

    def blind(self, files: list[bytes], seconds: float, most: int | None = None) -> None:
        """Try changes of `files`, and of what ended in a new way, for so long, or so many."""
        end = time.monotonic() + seconds
        files = [content for content in files if len(content) <= self.target.most]
        for content in files:
            self.try_one(content)
        while time.monotonic() < end and (most is None or self.runs < most):
            content = self.change(self.rng.choice(files), files)
            if self.try_one(content):
                files.append(content)

    def guided(self, atheris: ModuleType, files: list[bytes], seconds: float) -> None:
        """The same, led by the lines of minidl that an input reaches; writes the figures, and ends the process."""
        corpus = self.out / "corpus"
        corpus.mkdir(exist_ok=True)
        files = [content for content in files if len(content) <= self.target.most]
        for i, content in enumerate(files):
            (corpus / f"first {i}").write_bytes(content)

        def mutated(content: bytes, most: int, seed: int) -> bytes:
            self.rng.seed(seed)
            if self.rng.random() < 0.2:
                changed: bytes = atheris.Mutate(content, len(content) + 16)
                return changed[:most]
            return self.change(content, files)[:most]

        end = time.monotonic() + seconds

        def one(content: bytes) -> None:
            self.try_one(content)
            if time.monotonic() > end:  # where libFuzzer ends by itself Python gets no word
                self.write()
                os._exit(0)

        arguments = ["-timeout=300", "-rss_limit_mb=3000", f"-max_len={self.target.most}"]
        arguments += [f"-artifact_prefix={self.out}/", str(corpus)]
        atheris.Setup([sys.argv[0], *arguments], one, custom_mutator=mutated)
        atheris.Fuzz()

    def write(self) -> None:
        """The figures, as JSON."""
        figures = {"runs": self.runs, "outcomes": len(self.outcomes), "failures": dict(self.failures)}
        (self.out / "figures.json").write_text(json.dumps(figures))


def confine() -> None:
    """Let this process have so much memory at most, but for the address sanitizer, which has an option for that."""
    if "asan" not in os.environ.get("LD_PRELOAD", ""):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
