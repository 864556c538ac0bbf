"""Build a wheel for each given Python, give it the lowest manylinux tag that holds, and test it where nothing else is.

    python tools/check_wheels.py [--pythons python3.10 python3.13 ...] [--numpy newest 1.26.*] [--every 10]
                                  [--out FOLDER]

The wheels come from the sdist of this folder, as an index would build them; `auditwheel` (with `patchelf`) reads which
glibc each needs. Each is then installed with each numpy into an environment of its own, and the tests run that need the
compiled modules most, from the unpacked sdist, where no sources of minidl are left. A numpy that has no wheel for a
Python is left out, by name. Prints a line for each; the first failure ends the program.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("tests/kernels", "tests/compiled", "tests/test_package.py")
TESTED_BY = ("pytest", "pytest-xdist", "hypothesis")
NEWEST = "newest"


def run(*command: object, cwd: Path | None = None) -> str:
    """What a command prints; it ends the program where it fails."""
    print("+", *command, flush=True)
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{command[0]} ended with {done.returncode}")
    return done.stdout


def environment(python: object, folder: Path, *packages: str) -> Path:
    """The Python of a new environment with these packages."""
    run(python, "-m", "venv", folder)
    made = folder / "bin" / "python"
    if packages:
        run(made, "-m", "pip", "install", "-q", *packages)
    return made


def build_sdist(work: Path) -> tuple[Path, Path]:
    """The sdist of this folder, and where it is unpacked for the tests."""
    tools = environment(sys.executable, work / "tools", "build", "auditwheel", "patchelf")
    run(tools, "-m", "build", "-q", "--sdist", "--outdir", work / "dist", ROOT)
    (sdist,) = (work / "dist").iterdir()
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    shutil.rmtree(unpacked / "minidl")  # the tests find what is installed
    return sdist, unpacked


def repair(work: Path, wheel: Path, to: Path) -> Path:
    """The wheel by its lowest manylinux tag."""
    tools = work / "tools" / "bin"
    search = f"PATH={tools}{os.pathsep}{os.environ['PATH']}"
    run("env", search, tools / "auditwheel", "repair", "--wheel-dir", to, wheel)
    (repaired,) = to.iterdir()
    return repaired


def has_numpy(python: Path, version: str) -> bool:
    """Whether there is a wheel of this numpy for a Python."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder]
        return not subprocess.run([*command, f"numpy=={version}"], stderr=subprocess.DEVNULL, check=False).returncode


def check(wheel: Path, python: Path, tests: Path, every: int) -> list[str]:
    """Run the tests of an installed wheel; versions and counts, as the table has them."""
    says = "print(platform.python_version(), numpy.__version__, minidl.kernels.current().name)"
    versions = run(python, "-c", f"import platform, numpy, minidl; {says}", cwd=tests.parent).split()
    if versions[2] != "native":
        sys.exit(f"{wheel.name} uses the backend {versions[2]}")
    told = run(python, "-m", "pytest", "-n", "auto", "-p", "no:cacheprovider", "--every", every, *TESTS, cwd=tests)
    counts = re.findall(r"(\d+ (?:passed|skipped))", told.splitlines()[-1])
    tag = re.sub(r".*-(\w*linux\w*)\.whl", r"\1", wheel.name)
    return [*versions[:2], tag, f"{wheel.stat().st_size:,} bytes", ", ".join(counts)]


def show(row: list[str]) -> None:
    """A line of the table."""
    print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    """Everything, in a folder that goes away again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pythons", nargs="+", default=[sys.executable], help="interpreters (the one that runs this)")
    parser.add_argument("--numpy", nargs="+", default=[NEWEST, "1.26.*"], help="versions (newest and 1.26.*)")
    parser.add_argument("--every", type=int, default=10, help="an n-th of the tests (10)")
    parser.add_argument("--out", type=Path, help="a folder for the wheels")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sdist, tests = build_sdist(work)
        for i, python in enumerate(args.pythons):
            builder = environment(python, work / f"build{i}")
            run(builder, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", work / f"made{i}", sdist)
            (wheel,) = (work / f"made{i}").iterdir()
            wheel = repair(work, wheel, work / f"wheel{i}")
            for j, numpy in enumerate(args.numpy):
                if numpy != NEWEST and not has_numpy(builder, numpy):
                    show([python, numpy, "no wheel of this numpy"])
                    continue
                wanted = "numpy" if numpy == NEWEST else f"numpy=={numpy}"
                fresh = environment(python, work / f"fresh{i}.{j}", wanted, str(wheel), *TESTED_BY)
                show(check(wheel, fresh, tests, args.every))
                shutil.rmtree(work / f"fresh{i}.{j}")
            if args.out:
                args.out.mkdir(parents=True, exist_ok=True)
                shutil.copy(wheel, args.out)


if __name__ == "__main__":
    main()
