"""tools/fuzz.py: inputs that once did harm, a few changed ones for each reader, and failures that must be seen."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

if os.name != "posix":
    pytest.skip("alarms of the processor's time are POSIX", allow_module_level=True)
pytest.importorskip("PIL")

from fuzzing import changes, search, sizes
from fuzzing.readers import targets
from fuzzing.search import FailureError, Search, attempt
from fuzzing.target import Target
from kernels import variants

CORPUS = Path(__file__).parent / "corpus"
NAMES = (
    *("idx", "zip", "cifar10-binary", "cifar10-python", "cifar100-python", "cifar-tar", "image", "folder"),
    *("checkpoint", "weights", "architecture", "safetensors", "history", "download"),
    *(("sizes",) if variants.NATIVE else ()),
)
CHANGED = 40


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    place = tmp_path_factory.mktemp("fuzz") / "place"
    return targets(place) | ({"sizes": sizes.target(place)} if variants.NATIVE else {})


def test_names(found: dict[str, Target]) -> None:
    assert tuple(found) == ("idx", "zip", *NAMES[2:])
    assert {path.name for path in CORPUS.iterdir()} <= {*NAMES, "onnx", "sizes"}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_did_harm_does_none(found: dict[str, Target], path: Path, tmp_path: Path) -> None:
    if path.parent.name == "sizes" and not variants.NATIVE:
        pytest.skip("the binding is not there")
    if path.parent.name == "onnx":
        pytest.importorskip("onnx.backend.test.loader")
        from fuzzing import onnx_files

        attempt(onnx_files.target(tmp_path), path.read_bytes())
    else:
        attempt(found[path.parent.name], path.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_changed_ones(found: dict[str, Target], name: str, tmp_path: Path) -> None:
    made, seeds = Search(found[name], tmp_path), list(found[name].seeds())
    made.blind(seeds, seconds=3600, most=len(seeds) + CHANGED)
    assert made.failures == {}
    assert made.runs == len(seeds) + CHANGED
    assert made.outcomes[""] >= 1
    assert len(made.outcomes) > 1


# ---- what is a failure -----------------------------------------------------------------------------------------------


def boom(content: bytes) -> None:
    raise {b"k": KeyError, b"v": ValueError, b"t": TypeError, b"m": MemoryError}[content]("of the file")


def spin(content: bytes) -> None:
    while True:
        time.process_time()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SECONDS", 0.05)


def test_other_exceptions_are_failures() -> None:
    target = Target("", lambda: [], boom, (ValueError,), "the file")
    assert attempt(target, b"v") == "ValueError outside"
    for content, kind in ((b"k", "KeyError"), (b"t", "TypeError"), (b"m", "MemoryError")):
        with pytest.raises(FailureError, match=kind):
            attempt(target, content)


def test_a_message_that_names_no_file_is_a_failure() -> None:
    with pytest.raises(FailureError, match="AssertionError"):
        attempt(Target("", lambda: [], boom, (ValueError,), "name of the file"), b"v")


def test_a_hang_is_a_failure(short: None) -> None:
    with pytest.raises(FailureError, match="HangError"):
        attempt(Target("", lambda: [], spin, (Exception,)), b"")


def test_memory_is_a_failure() -> None:
    """What counts is growth over the largest memory so far."""

    import resource  # of POSIX alone, as this file

    def fill(content: bytes) -> None:
        np.ones((1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + 2**23) // 8)

    with pytest.raises(FailureError, match=r"memory \d+ MiB"):
        attempt(Target("", lambda: [], fill, (), growth=2**22), b"")


def test_a_search_keeps_the_first_of_each_kind(tmp_path: Path) -> None:
    made = Search(Target("", lambda: [], boom, ()), tmp_path)
    for content in (b"k", b"v", b"k"):
        assert not made.try_one(content)
    kept = sorted(path.read_bytes() for path in tmp_path.glob("failure-*") if path.suffix != ".txt")
    assert kept == [b"k", b"v"]
    assert made.failures == {"KeyError outside": 2, "ValueError outside": 1}
    assert (tmp_path / "last").read_bytes() == b"k"


def test_changed_json_is_mostly_json() -> None:
    rng, text, sound, found = random.Random(0), '{"a": [1, 2.5, "x"], "b": {"c": null}}', 0, set()
    for _ in range(200):
        found.add(changed := changes.change_json(rng, text))
        try:
            json.loads(changed)
            sound += 1
        except (ValueError, RecursionError):
            pass
    assert sound > 150
    assert len(found) > 100
