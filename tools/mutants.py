"""Put small faults into the kernels and the Python core, one at a time, and see whether the tests find them.

    python tools/mutants.py [--seed 1] [--count 500] [--folder build/mutants] [TESTS ...]

1. Chosen are faults of all that can be made (`mutating/c_source.py`, `mutating/python_source.py`), each as likely as
   any other: another operator, comparison or constant, the smaller instead of the larger, a statement that is dropped.
2. A copy of the package in FOLDER gets all of them, each behind a switch, and is compiled once, for AVX2 and the
   baseline.
3. The tests run once with all switches off. Those that fail are left out; of the others is written down how long they
   take and which faults they come past.
4. For each fault a process is forked that has it switched on and runs the tests that come past it, quick ones of many
   files first, until one fails. A crash, and ten seconds more than ten times what the test usually takes of the
   processor, count as a failure.
5. Printed are the faults that no test finds, but for those that change no result, with the reason for that in
   `mutating/equivalent.json`; and counts.

What is there already in FOLDER for the same seed and count is not done again; `--again` runs the faults that were not
found once more, with the tests as they are now, `--sanitize` does so in a build with the address sanitizer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from mutating import building
from mutating.mutant import OVERRUN, Mutant

EQUIVALENT = Path(__file__).parent / "mutating" / "equivalent.json"
TESTS = ["tests", "--ignore=tests/mpi", "--ignore=tests/test_benchmarks.py", "--ignore=tests/test_examples.py"]
"""Unless others are given: programs that only use the package take long, and find what others have found."""


def say(text: str) -> None:
    """To whoever waits."""
    print(text, file=sys.stderr, flush=True)


def prepare(folder: Path, seed: int, counts: tuple[int, int]) -> list[dict[str, Any]]:
    """Choose, copy, compile: a record of each mutant, whose number is its place in the list from 1 on."""
    record = folder / "mutants.json"
    wanted = {"seed": seed, "counts": list(counts)}
    if record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["wanted"] == wanted:
            return known["mutants"]
        for old in folder.glob("*.jsonl"):
            old.unlink()
    files = building.sources()
    chance = random.Random(seed)
    in_c = [source for path, source in files.items() if not path.endswith(".py")]
    in_python = [source for path, source in files.items() if path.endswith(".py")]
    for source in in_c, in_python:
        say(f"{sum(len(each.mutants()) for each in source)} possible mutants in {len(source)} files")
    first = building.choose(in_c, counts[0] * 5 // 4, chance)
    second = building.choose(in_python, counts[1], chance)
    bad = building.compile_kernels(files, {mutant: i for i, mutant in enumerate(first, 1)}, folder, say)
    chosen = [mutant for mutant in first if mutant not in bad][: counts[0]] + second
    numbers = {mutant: i for i, mutant in enumerate(chosen, 1)}
    lib = folder / "lib"
    building.copy_package(lib)
    building.write_c(files, numbers, folder / "src")
    building.link_kernels(folder, lib, len(chosen) + 1, say)
    building.write_python(files, numbers, lib)
    compiled = building.compiled_numbers(folder)
    mutants = [describe(mutant, number in compiled) for mutant, number in numbers.items()]
    record.write_text(json.dumps({"wanted": wanted, "mutants": mutants}, indent=1), encoding="utf-8")
    return mutants


def describe(mutant: Mutant, compiled: bool) -> dict[str, Any]:
    """As JSON."""
    here = compiled or mutant.path.endswith(".py")
    known = {name: getattr(mutant, name) for name in ("key", "kind", "folder", "line", "path")}
    return known | {"here": here}


def run_tests(folder: Path, tests: list[str], settings: dict[str, str], lib: str = "lib") -> None:
    """Tests on the copy, in a process of their own with mutating.plugin."""
    seen = folder / "seen"
    seen.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MINIDL_")}
    paths = [str(folder / lib), str(building.ROOT / "tools"), str(building.ROOT)]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONSAFEPATH"] = "1"  # processes of tests import the copy, too, not what stands in their folder
    command = [sys.executable, "-P", "-m", "pytest", "-p", "mutating.plugin", "-p", "no:cacheprovider"]
    log = folder / "pytest.log"
    with open(log, "w", encoding="utf-8") as file:
        done = subprocess.run(
            [*command, *tests], env=environment | settings, cwd=building.ROOT, stdout=file, stderr=subprocess.STDOUT
        )
    if done.returncode not in (0, 5):
        raise SystemExit(log.read_text(encoding="utf-8")[-3000:])


def lines(path: Path) -> list[dict[str, Any]]:
    """Of a file with JSON in each line; none if it is not there."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def in_turns(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Quick ones first, and one of each file before the second of any."""
    turn: Counter[str] = Counter()
    order = []
    for test in sorted(tests, key=lambda each: each["seconds"]):
        name = test["test"].partition("::")[0]
        turn[name] += 1
        order.append((turn[name] * (0.01 + test["seconds"]), len(order), test))
    return [test for *_, test in sorted(order, key=lambda each: each[:2])]


def attack(
    folder: Path, tests: list[str], numbers: list[int], most: float, name: str, lib: str = "lib", **settings: str
) -> None:
    """Let the tests try to kill these mutants; results are added to the file `name`.done."""
    reaching: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for test in lines(folder / "map.jsonl"):
        if test["outcome"] == "passed":
            for number in test["seen"]:
                reaching[number].append(test)
    path = folder / f"{name}.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for number in numbers:
            chosen: dict[str, float] = {}
            total = 0.0
            for test in in_turns(reaching[number]):
                if total + test["seconds"] <= most:
                    chosen[test["test"]] = test["seconds"]
                    total += test["seconds"]
            file.write(json.dumps({"mutant": number, "tests": chosen}) + "\n")
    run_tests(folder, tests, {"MINIDL_MUTANTS_RUN": str(path)} | settings, lib)


def attack_sanitized(folder: Path, tests: list[str], count: int, alive: list[int], most: float) -> None:
    """As `make sanitize` would: the address sanitizer ends what reads or writes beyond an array."""
    lib = folder / "sanitized"
    if not lib.exists():
        shutil.copytree(folder / "lib", lib)
        building.link_kernels(folder, lib, count + 1, say, *building.SANITIZED)
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True).stdout
    settings = {"LD_PRELOAD": library.strip(), "PYTHONMALLOC": "malloc"}
    settings["ASAN_OPTIONS"] = f"detect_leaks=0:exitcode={OVERRUN}"
    attack(folder, tests, alive, most, "sanitized", "sanitized", **settings)


def results(folder: Path) -> dict[int, dict[str, Any]]:
    """The last result of each mutant."""
    found: dict[int, dict[str, Any]] = {}
    for name in "first", "again":
        found |= {record["mutant"]: record for record in lines(folder / f"{name}.done")}
    overruns = [record for record in lines(folder / "sanitized.done") if record["how"] == "overrun"]
    return found | {record["mutant"]: record | {"how": "crashed"} for record in overruns}


def report(mutants: list[dict[str, Any]], found: dict[int, dict[str, Any]]) -> None:
    """Print survivors and counts; what is compiled on other systems alone does not count."""
    reasons = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    folders: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for number, mutant in enumerate(mutants, 1):
        if not mutant["here"]:
            continue
        result = found.get(number, {"how": "not run", "tests": 0})
        how = result["how"]
        if how == "survived" and mutant["key"] in reasons:
            how = "equivalent"
        elif how == "survived":
            print(f"{number} survived {result['tests']} tests: {mutant['path']}:{mutant['line']}: {mutant['key']}")
        kinds[mutant["kind"]][how] += 1
        folders[mutant["folder"]][how] += 1
    for counts in folders, kinds:
        print(f"\n{'':36}{'mutants':>9}{'failed':>9}{'crashed':>9}{'hung':>9}{'equal':>9}{'survived':>9}")
        for name, row in sorted(counts.items()):
            print_row(name, row)
    print_row("all", sum(kinds.values(), Counter()))


def print_row(name: str, row: Counter[str]) -> None:
    """A line of the table."""
    columns = [row.total(), *(row[how] for how in ("failed", "crashed", "hung", "equivalent", "survived"))]
    print(f"{name:36}" + "".join(f"{count:9}" for count in columns))


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--count", type=int, default=500, help="mutants, three of five in the kernels, the others in Python"
    )
    parser.add_argument("--folder", type=Path, default=building.ROOT / "build" / "mutants")
    parser.add_argument("--most", type=float, default=60, help="seconds of tests for one mutant, at most")
    parser.add_argument("--again", action="store_true", help="only those that survived, with the tests as they are now")
    parser.add_argument("--sanitize", action="store_true", help="the same, with the address sanitizer")
    parser.add_argument("--stage", choices=("build", "map", "attack", "report"), help="stop behind this one")
    parser.add_argument("tests", nargs="*", default=TESTS, help="files and folders, after -- also options of pytest")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    mutants = prepare(folder, arguments.seed, (arguments.count * 3 // 5, arguments.count - arguments.count * 3 // 5))
    if arguments.stage == "build":
        return
    tests = arguments.tests
    if arguments.stage != "report":
        run_tests(
            folder,
            tests,
            {"MINIDL_MUTANTS_MAP": str(folder / "map.jsonl"), "MUTANTS_SEEN": str(folder / "seen")},
        )
    if arguments.stage == "map":
        return
    found = results(folder)
    alive = [number for number, result in found.items() if result["how"] == "survived"]
    if arguments.sanitize:
        in_c = [number for number in alive if not mutants[number - 1]["path"].endswith(".py")]
        attack_sanitized(folder, tests, len(mutants), in_c, arguments.most)
    elif arguments.again:
        attack(folder, tests, alive, arguments.most, "again")
    elif arguments.stage != "report":
        attack(folder, tests, [n for n in range(1, len(mutants) + 1) if n not in found], arguments.most, "first")
    report(mutants, results(folder))


if __name__ == "__main__":
    main()
