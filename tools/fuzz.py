"""Search for inputs on which a reader of minidl crashes, hangs, takes too much memory, or fails without a message.

    python tools/fuzz.py [--seconds 600] [--together 1] [--short] [--out out/fuzz] [TARGET ...]

Without targets all in turn, each in a process of its own with limits of time and memory; --together 4: four at a time;
--short: twenty seconds each, all at once.
Inputs are changed as the formats ask for: headers, JSON inside, sums put right. Where the package atheris is installed
(`make fuzz` brings it) inputs that reach new lines of minidl's code lead the search, elsewhere those with new messages.
The target "onnx" needs the packages onnx and pytest, too. "sizes" calls kernels; their lines count, too, where Clang
has compiled them with counters (`make fuzz-sizes`).

A failure is any exception but those that the reader promises, one whose message does not name the file, a warning that
is not for users, ten seconds of the processor, memory out of proportion, a refused file that has changed something, and
the end of the process. The first input of each kind is written to OUT/TARGET; once mended it belongs in
tests/corpus/TARGET, which `tests/test_fuzz.py` reads again. Ends with an error if there was a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["minidl"]) if atheris is not None else contextlib.nullcontext():
    from fuzzing.readers import targets
from fuzzing.search import Search, confine
from fuzzing.target import Target

CORPUS = Path(__file__).parents[1] / "tests" / "corpus"
FAST = "/dev/shm"
"""A file system in memory."""
SHORT = 20
"""Seconds."""
MORE = {"sizes": "fuzzing.sizes", "onnx": "fuzzing.onnx_files"}
"""Targets that read no file, or need further packages, and their modules."""


def work(name: str, seconds: float, out: Path) -> None:
    """Search for one target, and write the figures."""
    target = found(name, Path(tempfile.mkdtemp()))
    corpus = sorted((CORPUS / name).glob("*"))
    files = [*target.seeds(), *(path.read_bytes() for path in corpus)]
    search = Search(target, out)
    confine()
    if atheris is None:
        search.blind(files, seconds)
        search.write()
    else:
        search.guided(atheris, files, seconds)


def found(name: str, folder: Path) -> Target:
    """The target of this name."""
    if name not in MORE:
        return targets(folder)[name]
    with atheris.instrument_imports(include=["minidl"]) if atheris is not None else contextlib.nullcontext():
        made: Target = import_module(MORE[name]).target(folder)
    return made


def report(name: str, seconds: float, out: Path) -> int:
    """Search in a process of its own, print a line, and return the number of kinds of failures."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.json").unlink(missing_ok=True)
    begun = time.monotonic()
    program = [sys.executable, __file__, "--work", "--seconds", str(seconds), "--out", str(out), name]
    place = tempfile.TemporaryDirectory(dir=FAST if os.path.isdir(FAST) else None)
    with open(out / "log", "wb") as log, place as folder:
        environment, limit = {**os.environ, "TMPDIR": folder}, 4 * seconds + 600
        try:
            status = subprocess.run(program, stdout=log, stderr=log, env=environment, timeout=limit).returncode
        except subprocess.TimeoutExpired:
            status = -1
    took = time.monotonic() - begun
    places = re.findall(r"cov: (\d+)", (out / "log").read_text(errors="replace"))
    if status or not (out / "figures.json").exists():
        print(f"{name:16} the process ended with {status}, see {out / 'log'}; the input is {out / 'last'}", flush=True)
        return 1
    figures = json.loads((out / "figures.json").read_text())
    reached = f"{places[-1]:>6} places reached" if places else ""
    runs, ways, failures = figures["runs"], figures["outcomes"], figures["failures"]
    print(f"{name:16} {runs:8} runs in {took:4.0f} s {ways:4} outcomes {reached} {len(failures)} failures", flush=True)
    for kind, times in failures.items():
        print(f"    {kind} ({times} times)", flush=True)
    return len(failures)


def main(argv: list[str] | None = None) -> None:
    """Search for the targets in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="for each target (default %(default)s)")
    parser.add_argument("--together", type=int, default=1, help="targets at a time (default %(default)s)")
    parser.add_argument("--short", action="store_true", help=f"{SHORT} seconds for each target, all at once")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    given = parser.parse_args(argv)
    if given.work:
        work(given.targets[0], given.seconds, given.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        names = [*targets(Path(folder)), *MORE]
    if set(given.targets) - set(names):
        parser.error(f"the targets are {', '.join(names)}")
    names = given.targets or names
    seconds, together = (SHORT, len(names)) if given.short else (given.seconds, given.together)
    with ThreadPoolExecutor(together) as pool:
        if sum(pool.map(lambda name: report(name, seconds, given.out / name), names)):
            sys.exit(1)


if __name__ == "__main__":
    main()
