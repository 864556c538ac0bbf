"""A plugin of pytest that runs tests with mutants: `pytest -p mutating.plugin`, started by `tools/mutants.py`.

MINIDL_MUTANTS_MAP names a file: every test runs as always, and the file gets, as they end, their names, outcomes,
seconds and the mutants that they came past. MINIDL_MUTANTS_RUN names a file with a line of JSON for each mutant, its
number, the tests that may kill it, and their seconds; for each a child process is forked, which runs them until one
fails.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import tempfile
from pathlib import Path
from typing import Any

import mutant_switch
import pytest
from _pytest.runner import runtestprotocol

from mutating.mutant import OVERRUN

WALL_SECONDS = 300.0
"""Of a test: longer than any other work of the machine lets it wait, so that only a deadlock comes this far."""

MEMORY = 8 << 30
"""Bytes that a child may ask for."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Instead of pytest's own loop over the collected tests."""
    if session.testsfailed:
        raise session.Interrupted("not all tests could be collected")
    if "MINIDL_MUTANTS_MAP" in os.environ:
        _map(session, Path(os.environ["MINIDL_MUTANTS_MAP"]))
    else:
        _attack(session, Path(os.environ["MINIDL_MUTANTS_RUN"]))
    return True


def _map(session: pytest.Session, path: Path) -> None:
    done = {json.loads(line)["test"] for line in path.read_text().splitlines()} if path.exists() else set()
    items = [item for item in session.items if item.nodeid not in done]
    mutant_switch.take_seen()
    with open(path, "a", encoding="utf-8") as file:
        for item, following in zip(items, [*items[1:], None]):
            start = _used()
            outcome = _outcome(item, following)
            record = {"test": item.nodeid, "outcome": outcome, "seconds": round(_used() - start, 4)}
            record["seen"] = sorted(mutant_switch.take_seen())
            file.write(json.dumps(record) + "\n")
            file.flush()


def _used() -> float:
    """Seconds of the processor, of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def _outcome(item: pytest.Item, following: pytest.Item | None) -> str:
    reports = runtestprotocol(item, log=False, nextitem=following)
    outcomes = {report.outcome for report in reports}
    return "failed" if "failed" in outcomes else "skipped" if "skipped" in outcomes else "passed"


def _attack(session: pytest.Session, path: Path) -> None:
    items = {item.nodeid: item for item in session.items}
    gc.freeze()  # what is collected stays where it is, in memory that children share
    with open(path.with_suffix(".done"), "a", encoding="utf-8") as file:
        for line in path.read_text(encoding="utf-8").splitlines():
            task = json.loads(line)
            tests = [items[name] for name in task["tests"] if name in items]
            result = _in_child(task["mutant"], tests, task["tests"])
            file.write(json.dumps({"mutant": task["mutant"], **result}) + "\n")
            file.flush()


def _in_child(number: int, tests: list[pytest.Item], seconds: dict[str, float]) -> dict[str, Any]:
    """Runs the tests with a mutant until one fails: how it ended, by which test, seconds of the processor."""
    with tempfile.TemporaryFile() as begun:  # a pipe could fill up
        child = os.fork()
        if not child:
            os.setsid()
            _run(number, tests, seconds, begun.fileno())
        _, status, used = os.wait4(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what its tests have started
        begun.seek(0)
        names = begun.read().decode().splitlines()
    if os.WIFEXITED(status):
        how = {0: "survived", 1: "failed", OVERRUN: "overrun"}.get(os.WEXITSTATUS(status), "crashed")
    else:
        how = "hung" if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM) else "crashed"
    spent = round(used.ru_utime + used.ru_stime, 2)
    last = names[-1] if names and how != "survived" else ""
    return {"how": how, "test": last, "tests": len(names), "seconds": spent}


def _run(number: int, tests: list[pytest.Item], seconds: dict[str, float], begun: int) -> None:
    status = 2
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if "ASAN_OPTIONS" not in os.environ:  # which asks for much more than it uses
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        mutant_switch.use(number)
        status = 0
        for item, following in zip(tests, [*tests[1:], None]):
            os.write(begun, f"{item.nodeid}\n".encode())
            signal.setitimer(signal.ITIMER_PROF, 10 + 10 * seconds[item.nodeid])
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            if _outcome(item, following) == "failed":
                status = 1
                break
    except BaseException:
        status = 1
    os._exit(status)
