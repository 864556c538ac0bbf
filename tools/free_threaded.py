"""Build a CPython without a global lock, and minidl in it, and run tests in several threads at once.

    python tools/free_threaded.py                          # what is missing is built first, then: checks and tests
    python tools/free_threaded.py --place ~/elsewhere      # where all of it is kept
    python tools/free_threaded.py --archive Python.tar.xz  # these sources of CPython
    python tools/free_threaded.py --only tests/optim       # these tests, and the checks
    python tools/free_threaded.py --every 10               # a tenth of those that run in several threads at once
    python tools/free_threaded.py --thread-sanitizer       # CPython and minidl so compiled that races are told

Without `--archive` the sources are Debian's, by apt-get with lists of its own from the mirror that the system has. A
compiler and the headers of zlib, libffi and OpenSSL must be there; packages come by pip.

Each test runs in `--threads` threads at once (pytest-run-parallel), but for those that change what belongs to the
process: UNSAFE says what. These run as ever, as do the tests that start threads themselves.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = ("numpy", "setuptools", "Cython>=3.1", "hypothesis", "pytest>=8", "pytest-run-parallel")

TESTS = ("kernels", "layers", "losses", "optim", "compiled/test_program.py", "model", "support", "test_functional.py")
"""In several threads at once: what computes, and what is above it up to the model. (Other tests of `compiled` force a
layout, which is the process's.)"""
PREDICTING = "model/test_predict_while_training.py"
THREADED = ("test_races.py", "test_threads.py", PREDICTING)
"""With threads of their own."""
WITH_SANITIZER = "not matrix_products and not im2col and not forked_child"
"""Which tests run with the sanitizer, as in `make sanitize-threads`: it sees no locks of OpenBLAS's threads, and forks
are for `make sanitize-pool`."""

UNSAFE = {
    "of the process": (
        "minidl.kernels.use",
        "*.using",
        "*.set_num_threads",
        "*.use_isa",
        "*.use_winograd",
        "*.use_layout",
    ),
    "drawn from one generator": ("minidl.seed",),
    "counted for the process": ("*.memory_in_use", "*.release_memory", "tracemalloc.*", "gc.*"),
    "started as a process": ("subprocess.run",),
    "for the main thread": ("signal.signal",),
    "put in place of others": ("pytest.MonkeyPatch.context",),
}
"""Why a test that calls one of these runs in one thread alone."""
UNSAFE_FIXTURES = ("monkeypatch", "capsys", "capfd", "recwarn")
"""Which belong to the process, too."""

CHECK = """
import importlib, pathlib, sys
import minidl
from minidl import _ext
for path in sorted(pathlib.Path(_ext.__path__[0]).glob("*.so")):
    importlib.import_module("minidl._ext." + path.name.partition(".")[0])
minidl.Model(minidl.Conv2D(1, 4, 3), minidl.Relu()).predict([[[[1.0] * 5] * 5]])
assert minidl.kernels.current().name == "native", minidl.kernels.current()
assert not sys._is_gil_enabled(), "import minidl has switched the GIL on"
print(sys.version)
print("no GIL after import of minidl and of all its compiled modules, and a prediction")
"""


def run(*command: str | Path, within: Path = ROOT, **environment: str) -> None:
    """Run a command; ends this program where it fails."""
    print("+", shlex.join(map(str, command)), flush=True)
    done = subprocess.run([*map(str, command)], cwd=within, env={**os.environ, **environment}, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, command))} ended with {done.returncode}")


def told(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def downloaded(place: Path, version: str, suite: str) -> Path:
    """CPython's own archive out of Debian's source package."""
    found = sorted(place.glob(f"python{version}_*.orig.tar.xz"))
    if found:
        return found[-1]
    targets = told("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages")
    mirror = next((line.split()[1] for line in targets.splitlines() if line.startswith("Debian ")), None)
    if mirror is None:
        sys.exit("apt knows no mirror of Debian: give the sources of CPython by --archive")
    for folder in ("lists/partial", "cache/archives/partial"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    (place / "sources.list").write_text(f"deb-src [signed-by={KEYRING}] {mirror} {suite} main\n")
    options = {
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": place / "lists",
        "Dir::Cache": place / "cache",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    run(*apt, "update")
    run(*apt, "source", "--download-only", f"python{version}", within=place)
    return sorted(place.glob(f"python{version}_*.orig.tar.xz"))[-1]


def interpreter(place: Path, archive: Path, sanitized: bool) -> Path:
    """A CPython of these sources, in `place`; built if it is not there."""
    python = place / "python" / "bin" / "python3"
    if python.exists():
        return python
    sources = place / "sources"
    with tarfile.open(archive) as packed:
        top = packed.getnames()[0].partition("/")[0]
        packed.extractall(sources, filter="tar")
    options = ["--disable-gil", f"--prefix={place / 'python'}", *(["--with-thread-sanitizer"] if sanitized else [])]
    run("./configure", "-q", *options, within=sources / top, CFLAGS="-g1" if sanitized else "-g0")
    # Sanitized, the programs that the build runs would tell of races too.
    quiet = {"TSAN_OPTIONS": "report_bugs=0"} if sanitized else {}
    run("make", "-s", f"-j{os.cpu_count()}", within=sources / top, **quiet)
    # -l: modules in folders are compiled when they are first imported.
    run("make", "-s", "install", "COMPILEALL_OPTS=-l", within=sources / top, **quiet)
    return python


def spelled(names: Iterable[str]) -> list[str]:
    """The names, those that begin with "*." as tests write them: the plugin knows no star before a name."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "tests").rglob("*.py")))
    found: set[str] = set()
    for name in names:
        found |= set(re.findall(rf"[A-Za-z_][\w.]*{re.escape(name[1:])}\b", text)) if name[0] == "*" else {name}
    return sorted(found)


def environment(place: Path, python: Path, quiet: dict[str, str]) -> Path:
    """The folder of an environment's programs, with PACKAGES."""
    programs = place / "env" / "bin"
    if not (programs / "pytest").exists():
        run(python, "-m", "venv", place / "env", **quiet)
        # The newest numpy that has a wheel: some leave out the free-threaded 3.13.
        run(programs / "python", "-m", "pip", "install", "-q", "--only-binary", ":all:", *PACKAGES, **quiet)
    return programs


def main() -> None:
    """Build, check, test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minidl" / "free-threaded"
    parser.add_argument("--place", type=Path, default=default, help=f"folder for all that is built ({default})")
    parser.add_argument("--python", default="3.13", help="version of CPython (3.13)")
    parser.add_argument("--suite", default="trixie", help="of Debian (trixie)")
    parser.add_argument("--archive", type=Path, help="CPython's sources as a .tar file")
    parser.add_argument("--threads", type=int, default=4, help="that run a test at once (4)")
    parser.add_argument("--only", nargs="*", help="tests, instead of all")
    parser.add_argument("--every", type=int, default=1, help="an n-th of the tests in several threads at once (1)")
    parser.add_argument("--turn", type=int, default=0, help="which n-th (0)")
    parser.add_argument("--thread-sanitizer", action="store_true", help="a CPython and a minidl that tell of races")
    wanted = parser.parse_args()
    top = wanted.place.expanduser().resolve()
    top.mkdir(parents=True, exist_ok=True)
    sanitized = wanted.thread_sanitizer
    archive = wanted.archive.resolve() if wanted.archive else downloaded(top, wanted.python, wanted.suite)
    place = top / (archive.name.partition(".orig")[0] + ("-sanitized" if sanitized else ""))
    quiet = {"TSAN_OPTIONS": "report_bugs=0"} if sanitized else {}
    programs = environment(place, interpreter(place, archive, sanitized), quiet)

    library = place / "lib"
    for old in library.rglob("*.py"):
        old.unlink()
    kind = {"MINIDL_SANITIZE": "threads"} if sanitized else {}
    build = ("build", "--build-base", place / "build", "--build-lib", library)
    run(programs / "python", "setup.py", "-q", *build, **kind, **quiet)
    found = {"PYTHONPATH": str(library)}
    predicting = found
    shown = []
    if sanitized:
        listed = next((place / "sources").glob("*/Tools/tsan/suppressions_free_threading.txt"))
        both = place / "suppressions.txt"
        both.write_text(listed.read_text() + (ROOT / "tools" / "races.txt").read_text())
        options = "die_after_fork=0 history_size=4 suppressions="
        predicting = {**found, "TSAN_OPTIONS": f"{options}{both}"}
        found["TSAN_OPTIONS"] = f"{options}{listed}"
        # Of tests that pass pytest would keep what is told of races to itself.
        shown = ["-s", "-k", WITH_SANITIZER]
    run(programs / "python", "-W", "error", "-c", CHECK, within=place, **found)
    pytest = (programs / "pytest", *shown, "-p", "no:cacheprovider", "-o", f"pythonpath={ROOT / 'tests'}")
    if wanted.only is None:
        for name in THREADED:
            run(*pytest, f"tests/{name}", **(predicting if name == PREDICTING else found))
    unsafe = "\n".join(spelled(name for names in UNSAFE.values() for name in names))
    alone = ("-o", f"thread_unsafe_functions={unsafe}", "-o", f"thread_unsafe_fixtures={chr(10).join(UNSAFE_FIXTURES)}")
    part = (f"--every={wanted.every}", f"--turn={wanted.turn}")
    parallel = (f"--parallel-threads={wanted.threads}", *part, *(f"--ignore=tests/{name}" for name in THREADED))
    tests = wanted.only or [f"tests/{name}" for name in TESTS]
    run(*pytest, *alone, *parallel, *tests, **found)


if __name__ == "__main__":
    main()
