"""A copy of the package with many mutants at once, each behind a switch, compiled once."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

from mutating import c_source, python_source
from mutating.mutant import Mutant

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KERNELS = "minidl/_ext"
ROOMS = (
    "checks",
    "compiled",
    "data",
    "functional",
    "kernels",
    "layers",
    "losses",
    "model",
    "optim",
    "support",
    "training",
)
ALONE = ("metrics.py", "safetensors.py")
NOT_COMPILED = ("avx512_",)
"""Instruction sets that are left out: a copy of the same text, which takes as long as all others to compile."""

FLAGS = ["-O1", "-g0", "-std=gnu11", "-fPIC", "-pthread", "-w", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-fvisibility=hidden", "-ffp-contract=fast", "-DMINIDL_LEVEL=3"]
SWITCHES = """
#include <stdlib.h>
int minidl_mutant_now = 0, minidl_mutants = {count};
unsigned char minidl_mutant_seen[{count}];
static void __attribute__((constructor)) first(void) {{
    const char *text = getenv("MUTANT_ON");
    if (text) minidl_mutant_now = atoi(text);
}}
"""
Source = c_source.Source | python_source.Source


def sources() -> dict[str, Source]:
    """The files that get mutants, by their paths from the repository's folder."""
    paths = sorted((ROOT / KERNELS).rglob("*.[ch]"))
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    types = c_source.type_names(texts.values())
    found: dict[str, Source] = {
        path: c_source.Source(path, text, types) for path, text in texts.items() if not _of_the_binding(path)
    }
    modules = [path for room in ROOMS for path in sorted((ROOT / "minidl" / room).rglob("*.py"))]
    for module in [*modules, *(ROOT / "minidl" / name for name in ALONE)]:
        path = module.relative_to(ROOT).as_posix()
        found[path] = python_source.Source(path, module.read_text(encoding="utf-8"))
    return found


def _of_the_binding(path: str) -> bool:
    """Compiled into an extension of its own, which has no switches."""
    return path.endswith("core/digest.h")


def choose(files: Iterable[Source], count: int, chance: random.Random) -> list[Mutant]:
    """So many of all mutants, each as likely as any other."""
    everything = [mutant for source in files for mutant in source.mutants()]
    return chance.sample(everything, min(count, len(everything)))


def write_python(files: dict[str, Source], numbers: dict[Mutant, int], lib: Path) -> None:
    """Put the switched modules into the copy."""
    for path in sorted({mutant.path for mutant in numbers if mutant.path.endswith(".py")}):
        source = files[path]
        assert isinstance(source, python_source.Source)
        (lib / path).write_text(source.with_mutants(numbers), encoding="utf-8")


def write_c(files: dict[str, Source], numbers: dict[Mutant, int], src: Path) -> dict[str, list]:
    """Put the switched kernels into `src`; of each file the lines and their mutants."""
    lines = {}
    for path, source in files.items():
        if isinstance(source, c_source.Source):
            text, lines[path] = source.with_mutants(numbers)
            target = src / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_text(encoding="utf-8") != text:
                target.write_text(text, encoding="utf-8")
    return lines


def compile_kernels(
    files: dict[str, Source], numbers: dict[Mutant, int], folder: Path, say: Callable[[str], None]
) -> set[Mutant]:
    """Build `lanearray` with these mutants; those that no compiler takes are left out, and returned."""
    src = folder / "src"
    ext, left_out = src / KERNELS, set()
    remaining = dict(numbers)
    flags = [*FLAGS, f"-I{ext}", "-include", str(HERE / "switch.h")]
    while True:
        lines = write_c(files, remaining, src)
        units = _units(ext)
        bad: set[Mutant] = set()
        for unit in units:
            done = subprocess.run(
                ["gcc", *flags, "-fmax-errors=0", "-fsyntax-only", str(unit)], capture_output=True, text=True
            )
            for path, line in re.findall(r"(?m)^([^:\n]+):(\d+):\d+: (?:fatal )?error:", done.stderr):
                where = os.path.relpath(path, src)
                inside = [entry for entry in lines.get(where, ()) if entry[0] <= int(line) <= entry[1]]
                if not inside:
                    raise SystemExit(done.stderr)
                bad.update(min(inside, key=lambda entry: entry[1] - entry[0])[2])
        if not bad:
            break
        left_out |= bad
        remaining = {mutant: number for mutant, number in remaining.items() if mutant not in bad}
    say(f"{len(left_out)} mutants do not compile")
    return left_out


SANITIZED = ["-fsanitize=address", "-fno-omit-frame-pointer"]


def link_kernels(folder: Path, lib: Path, count: int, say: Callable[[str], None], *more: str) -> None:
    """Compile and link what `compile_kernels` has checked, into the copy `lib`; with more flags, if they are given."""
    ext = folder / "src" / KERNELS
    binding = folder / "lanearray.c"
    subprocess.run(
        [sys.executable, "-m", "cython", "-3", str(ROOT / KERNELS / "lanearray.pyx"), "-o", str(binding)],
        check=True,
        cwd=ROOT,
    )
    switches = folder / "switches.c"
    switches.write_text(SWITCHES.format(count=count), encoding="utf-8")
    units = _units(ext)
    include = ["-I", str(ext), "-I", sysconfig.get_paths()["include"], "-include", str(HERE / "switch.h")]
    objects = []
    for unit in [*units, binding, switches]:
        objects.append(folder / f"{unit.stem}.o")
        subprocess.run(["gcc", *FLAGS, *more, *include, "-c", str(unit), "-o", str(objects[-1])], check=True)
        say(f"compiled {unit.name}")
    name = "lanearray" + sysconfig.get_config_var("EXT_SUFFIX")
    command = ["gcc", "-shared", "-pthread", *more, *map(str, objects), "-o", str(lib / KERNELS / name), "-lm"]
    subprocess.run(command, check=True)


def compiled_numbers(folder: Path) -> set[int]:
    """Those in what the preprocessor leaves: others are of other systems and other instruction sets."""
    ext, numbers = folder / "src" / KERNELS, set()
    for unit in _units(ext):
        command = ["gcc", *FLAGS, f"-I{ext}", "-include", str(HERE / "switch.h"), "-E", str(unit)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        numbers.update(map(int, re.findall(r"minidl_mutant\((\d+)\)", text)))
    return numbers


def _units(ext: Path) -> list[Path]:
    return [path for path in sorted(ext.glob("*/*.c")) if not path.name.startswith(NOT_COMPILED)]


def copy_package(lib: Path) -> None:
    """The package as it is, with what has been compiled in place."""
    shutil.rmtree(lib, ignore_errors=True)
    shutil.copytree(ROOT / "minidl", lib / "minidl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "mutant_switch.py", lib)
