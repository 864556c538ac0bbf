"""Build sdist and wheel, look inside both, and run the tests of the unpacked sdist against an installation of it.

Run by `make sdist-check` in the source folder, with the `dev` extra installed; `--every 10` runs a tenth of the tests.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

SOURCES = (".pyx", ".pxd", ".c", ".h")
WHEEL_LIMIT = 4 * 2**20
IN_SDIST = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "RELEASING.md",
    "SECURITY.md",
    "benchmarks/__main__.py",
    "docs/",
    "examples/train_mnist.py",
    "minidl/_ext/im2col.pyx",
    "minidl/_ext/conv.pyx",
    "minidl/_ext/core/kernels.h",
    "minidl/_ext/isa/detect.c",
    "minidl/_ext/channels/program.h",
    "minidl/_ext/lanes/conv/conv.h",
    "minidl/_ext/pixels/conv.h",
    "setup.py",
    "tests/test_package.py",
)
IN_WHEEL = (
    "minidl/__init__.py",
    "minidl/py.typed",
    "minidl/live/page/index.html",
    "minidl/live/page/main.js",
    "minidl/live/page/style.css",
    "minidl/_ext/activation.",
    "minidl/_ext/arithmetic.",
    "minidl/_ext/boxes.",
    "minidl/_ext/capsule.",
    "minidl/_ext/conv.",
    "minidl/_ext/conv_transpose.",
    "minidl/_ext/dropout.",
    "minidl/_ext/elementwise.",
    "minidl/_ext/im2col.",
    "minidl/_ext/lanearray.",
    "minidl/_ext/layout.",
    "minidl/_ext/linear.",
    "minidl/_ext/local_response.",
    "minidl/_ext/loss.",
    "minidl/_ext/map.",
    "minidl/_ext/matmul.",
    "minidl/_ext/norm.",
    "minidl/_ext/pooling.",
    "minidl/_ext/program.",
    "minidl/_ext/reduce.",
    "minidl/_ext/resize.",
    "minidl/_ext/row_norm.",
    "minidl/_ext/shared.",
    "minidl/_ext/training_program.",
    "minidl/_ext/update.",
    "minidl/_ext/watch.",
    "licenses/LICENSE",
)


def run(*command: object, cwd: Path) -> None:
    """One step; its failure is ours."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=cwd, check=True)


def require(found: list[str], wanted: tuple[str, ...], where: str) -> None:
    """Every wanted path, or start of a path, is among those found."""
    missing = [path for path in wanted if not any(name.startswith(path) or f"/{path}" in name for name in found)]
    if missing:
        sys.exit(f"{where} lacks {', '.join(missing)}")


def check_wheel(path: Path) -> None:
    """Compiled modules and data, no sources, small."""
    names = zipfile.ZipFile(path).namelist()
    require(names, IN_WHEEL, path.name)
    require(names, tuple(data.as_posix() for data in Path("minidl/data/digits_mini").glob("*")), path.name)
    stray = [
        name for name in names if name.endswith(SOURCES) or name.split("/")[0] in ("tests", "examples", "benchmarks")
    ]
    if stray:
        sys.exit(f"{path.name} holds {', '.join(stray)}")
    if path.stat().st_size > WHEEL_LIMIT:
        sys.exit(f"{path.name} has {path.stat().st_size} bytes, more than {WHEEL_LIMIT}")
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(names)} files")


def check_sdist(path: Path, target: Path) -> Path:
    """Unpack; everything that git has must be there, and nothing that a build made."""
    with tarfile.open(path) as archive:
        archive.extractall(target, filter="data")
    root = target / path.name.removesuffix(".tar.gz")
    names = [file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()]
    require(names, IN_SDIST, path.name)
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    require(names, tuple(tracked), path.name)
    made = [name for name in names if name.endswith((".so", ".pyc")) or name.startswith("build/")]
    if made:
        sys.exit(f"{path.name} holds {', '.join(made)}")
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(names)} files")
    return root


def main() -> None:
    """Everything, in a folder that goes away again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="an n-th of the tests (1)")
    every = parser.parse_args().every
    source = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", work / "dist", source, cwd=work)
        (wheel,) = (work / "dist").glob("*.whl")
        (sdist,) = (work / "dist").glob("*.tar.gz")
        check_wheel(wheel)
        root = check_sdist(sdist, work)
        venv.create(work / "venv", with_pip=True)
        python = work / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "-q", f"{wheel}[test]", cwd=work)
        # Tests start programs in this folder, where an uncompiled minidl would come before the installed one.
        (root / "minidl").rename(root / "minidl.source")
        run(python, "-m", "pytest", "-n", "auto", "--every", every, cwd=root)


if __name__ == "__main__":
    main()
