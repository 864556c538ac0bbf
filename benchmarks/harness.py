"""Validate, then time: the one way in which every figure of the suite is taken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks import machine, tasks, zoo
from benchmarks.contenders import COARSE, COMPILING, Contender, judge, parse
from benchmarks.records import Record, Report
from benchmarks.shapes import Operation
from benchmarks.tasks import Task, Unsupported
from benchmarks.validation import verdict
from benchmarks.worker import Late, Worker

LONG = 1.0
"""Seconds from which on a call is not warmed up."""

BUDGET = 20.0
"""Seconds after which a measure of long calls gets no further sample."""


@dataclass(frozen=True)
class Settings:
    """repeats: samples a measure at least, of which the smallest counts. sample: seconds that a sample of short calls
    should last. span: seconds for which short calls are sampled again and again: the smallest is of a good moment.
    networks, batches: those of the zoo that are measured. compilation: seconds after which a contender that compiles
    must have its first results.
    """

    repeats: int = 5
    sample: float = 0.02
    span: float = 0.0
    networks: tuple[str, ...] = zoo.KEYS
    batches: tuple[int, ...] = zoo.BATCHES
    compilation: float = 300.0


@dataclass
class Session:
    """Contenders, their processes, and what was found.

    contenders: who takes part. threads: thread counts to measure with. say: takes a line about what happens.
    records: figures. notes: who was left out or wrong, and why. versions: of the libraries, by contender. peaks:
    GFLOP/s by number of threads.
    """

    contenders: list[Contender]
    threads: list[int]
    settings: Settings = field(default_factory=Settings)
    say: Callable[[str], None] = print
    records: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    _workers: dict[tuple[Contender, int], Worker | None] = field(default_factory=dict)
    _late: set[tuple[str, str, str]] = field(default_factory=set)  # contender, kind of task, network: not asked again

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process."""
        for worker in self._workers.values():
            if worker is not None:
                worker.close()
        self._workers.clear()

    def note(self, text: str) -> None:
        """Keep a remark for the report, once."""
        if text not in self.notes:
            self.notes.append(text)
            self.say(f"  note: {text}")

    def start(self, contender: Contender, threads: int) -> Worker | None:
        """A fresh process of a contender; None, and a note, if it does not start."""
        try:
            worker = Worker(contender, threads)
        except RuntimeError as error:
            self.note(f"{contender.name} does not start: {last_line(error)}")
            return None
        self.versions[contender.name] = worker.version
        return worker

    def worker(self, contender: Contender, threads: int) -> Worker | None:
        """The contender's lasting process, started when first wanted."""
        key = contender, threads
        if key not in self._workers:
            self._workers[key] = self.start(contender, threads)
        return self._workers[key]

    def named(self, only: Iterable[str] | None = None) -> list[Contender]:
        """The contenders whose name is among `only`; all for None."""
        wanted = None if only is None else set(only)
        return [c for c in self.contenders if wanted is None or c.name in wanted]

    def compare(
        self,
        suite: str,
        task: Task,
        threads: int,
        only: Iterable[str] | None = None,
        case: str | None = None,
        measure: str | None = None,
    ) -> None:
        """Validate a task on every contender that can do it, and time those that were right, in turn, sample by sample.

        suite, case: what the records say (case: by default the task's title). only: contenders to ask, None for all.
        measure: the one to time, None for all that the task has.
        """
        case = case or tasks.title(task)
        ready = self._prepare(suite, task, threads, only)
        errors = self.validate(suite, case, task, threads, ready)
        timed = {name: [m for m in ready[name][1] if measure in (None, m)] for name in errors}
        plan = {(name, m): ready[name][0].sampler(m) for name in errors for m in timed[name]}
        for (name, timing), samples in interleave(plan, self.settings).items():
            self.records.append(
                Record(
                    *(suite, case, timing, name, threads, min(samples), len(samples)),
                    flops=tasks.flops(task, timing),
                    images=tasks.images(task),
                    error=errors[name],
                )
            )
        for worker, _ in ready.values():
            worker.release()
        self.say(f"  {case}, {threads} thread{'s' * (threads > 1)}: {', '.join(errors) or 'nobody'}")

    def _prepare(
        self, suite: str, task: Task, threads: int, only: Iterable[str] | None
    ) -> dict[str, tuple[Worker, list[str]]]:
        """The processes that do this task, and its measures there, by contender's name."""
        ready = {}
        for contender in self.named(only):
            if (contender.name, *_network(task)) in self._late:
                continue
            worker = self.worker(contender, threads)
            if worker is None:
                continue
            try:
                ready[contender.name] = worker, worker.prepare(task)
            except Unsupported as reason:
                self.note(f"{contender.name} is not among {suite}: {reason}")
            except RuntimeError as error:
                self.note(f"{contender.name} fails at {tasks.title(task)}: {last_line(error)}")
        return ready

    def validate(
        self, suite: str, case: str, task: Task, threads: int, ready: dict[str, tuple[Worker, list[str]]]
    ) -> dict[str, float | None]:
        """The error of every contender that is right; the others are noted and left out.

        Of those that compile, the time until the results is recorded; one that has none in time leaves `ready`.
        """
        if not tasks.validated(task) or not ready:
            return dict.fromkeys(ready)
        referee = self.worker(judge(), max(self.threads))
        if referee is None:
            raise RuntimeError("nothing can be validated: the judge does not start")
        referee.prepare(task)
        moved, expected = referee.moved(), referee.outputs()
        referee.release()
        right: dict[str, float | None] = {}
        for name, (worker, _) in tuple(ready.items()):
            compiles, start = name in COMPILING, time.perf_counter()
            try:
                found = worker.outputs(self.settings.compilation if compiles else math.inf)
            except Late as late:
                self.note(f"{name} is not measured on {case}, nor on it with more images or threads: {late}")
                self._late.add((name, *_network(task)))
                del ready[name], self._workers[parse(name), threads]
                worker.close()
                continue
            except RuntimeError as failure:
                self.note(f"{name} fails at {case}: {last_line(failure)}")
                continue
            if compiles:
                seconds = time.perf_counter() - start
                self.records.append(Record("compile", case, suite, name, threads, seconds, 1))
            error, fault = verdict(found, expected, isinstance(task, Operation), name in COARSE, moved)
            if fault is None:
                right[name] = error
            else:
                self.note(f"{name} is WRONG at {case} and was not timed: {fault}")
        return right

    def measure_peak(self, threads: int, size: int) -> None:
        """The fastest large matrix product of numpy and PyTorch with so many threads, as the machine's peak."""
        self.compare("peak", tasks.Product(size), threads, ("im2col", "torch"))
        rates = [r.gflops for r in self.records if r.suite == "peak" and r.threads == threads and r.gflops]
        if rates:
            self.peaks[str(threads)] = max(rates)

    def report(self) -> Report:
        """Everything found up to now."""
        settings: dict[str, Any] = asdict(self.settings) | {"threads": self.threads}
        return Report(machine.describe(), settings, self.versions, self.peaks, judge().name, self.notes, self.records)


def _network(task: Task) -> tuple[str, str]:
    """What a contender that compiles compiles anew for each number of images and threads: kind and name."""
    network = getattr(task, "network", None)
    return type(task).__name__, network.name if network else tasks.title(task)


Key = tuple[str, str]
Sampler = Callable[[int, bool], float]


def interleave(plan: dict[Key, Sampler], settings: Settings) -> dict[Key, list[float]]:
    """Seconds a call, several samples for each entry of the plan, taken in turn so that a disturbance hits all alike.

    plan: (contender, measure) -> function of (calls, warm) that gives seconds a call. The first, cold call tells how
    many calls fill a sample; it counts only where calls are LONG. Every round starts with another entry.
    """
    cold = {key: sample(1, False) for key, sample in plan.items()}
    samples: dict[Key, list[float]] = {key: [seconds] if seconds >= LONG else [] for key, seconds in cold.items()}
    calls = {}
    for key, sample in plan.items():
        seconds = cold[key] if samples[key] else sample(1, True)
        calls[key] = max(1, math.ceil(settings.sample / max(seconds, 1e-7)))
    order = list(plan)
    turn, end = 0, time.perf_counter() + settings.span
    while order and (turn < settings.repeats or time.perf_counter() < end):
        for i in range(len(order)):
            key = order[(turn + i) % len(order)]
            if cold[key] < LONG or (len(samples[key]) < settings.repeats and sum(samples[key]) < BUDGET):
                samples[key].append(plan[key](calls[key], cold[key] < LONG))
        turn += 1
        if turn == settings.repeats:
            order = [key for key in order if cold[key] < LONG]
    return samples


def last_line(error: Exception) -> str:
    """What a traceback, or any longer message, comes to."""
    return str(error).strip().splitlines()[-1]
