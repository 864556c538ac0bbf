"""Fixtures of all tests: the shared helpers on the path, every backend variant as a parameter, one choice restored."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for "from kernels import cases", whatever pytest was started with
sys.path.append(str(Path(__file__).parents[1] / "tools"))

import global_seed
from kernels import variants

from minidl import kernels

global_seed.shift()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--every 3`: a third of the tests alone, always the same, spread over all of them; `--turn 1`: the next third."""
    parser.addoption("--every", type=int, default=1, help="run an n-th of the tests alone")
    parser.addoption("--turn", type=int, default=0, help="which n-th")
    parser.addoption("--widest", action="store_true", help="of instruction sets, run the widest of this machine alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `--every` does: by the tests' names, as their parameters come in turns."""
    every, turn = config.getoption("--every"), config.getoption("--turn")
    items[:] = [item for item in items if (crc32(item.nodeid.encode()) - turn) % every == 0]
    if config.getoption("--widest"):
        items[:] = [item for item in items if not _on_narrower_set(item)]


def _on_narrower_set(item: pytest.Item) -> bool:
    """Whether a parameter of this test is an instruction set, or a variant with one, that is not the widest."""
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    narrower = [variant.isa for variant in variants.NATIVE[1:]]
    return any(getattr(each, "isa", each) in narrower for each in given if isinstance(each, (str, variants.Variant)))


@pytest.fixture(autouse=True)
def _chosen_numbers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of what is likely, or of one example that somebody looked for, keep their numbers."""
    global_seed.shift(not request.node.get_closest_marker("chosen_numbers"))
    yield
    global_seed.shift()


@pytest.fixture(autouse=True)
def _same_backend_afterwards() -> Iterator[None]:
    previous = kernels.current().name
    yield
    kernels.use(previous)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell makes the jobs in its background ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where witnesses are asked for by name, everything that they need is there: none of them may skip."""
    report = yield
    if report.skipped and item.config.option.markexpr.startswith("witness"):
        report.outcome = "failed"
    return report


@pytest.fixture
def plain_backend() -> Iterator[None]:
    """A backend without lanes in use, for tests of what stands above the kernels."""
    with kernels.use("im2col" if "im2col" in kernels.available() else "reference"):
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture(params=variants.ALL, ids=variants.label)
def any_backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Every backend of this installation in turn, in use; native once per instruction set of this machine."""
    with variants.using(request.param) as backend:
        yield backend


@pytest.fixture(params=variants.COMPILED, ids=variants.label)
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """As `any_backend`, without the reference."""
    with variants.using(request.param) as backend:
        yield backend


@pytest.fixture(params=variants.NATIVE, ids=variants.label)
def native(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The native backend alone, once per instruction set of this machine."""
    with variants.using(request.param) as backend:
        yield backend
