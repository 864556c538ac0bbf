"""Cross-build minidl for arm64 and run tests of it under emulation, with the vectors of NEON.

    python tools/emulate.py [--cache FOLDER] [--threads 2] [pytest's arguments]

Needs a Debian whose python3 has the minor version of the Python that runs this, and its packages gcc-aarch64-linux-gnu
and qemu-user-static; Cython and setuptools; no rights of root. In the cache (~/.cache/minidl/arm64, some 300 MB) stay:
Debian's Python for arm64 with what it depends on, unpacked; numpy, pytest and hypothesis as wheels; the build. Without
arguments the kernel tests run that need no second process. A test that starts a process of its own works only where the
kernel knows arm64's programs (Debian's package binfmt-support).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
NATIVE = ["tests/kernels", "-k", "native or baseline", "--ignore=tests/kernels/test_native_environment.py"]
PLATFORMS = ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")


def run(*command: object, **options: object) -> None:
    """One step; its failure is ours."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True, **options)  # type: ignore[call-overload]


def unpack_debian(cache: Path) -> Path:
    """The root folder of an arm64 Debian with Python and its headers, of the suite that this machine's apt reads."""
    root, state = cache / "root", cache / "apt"
    if (root / f"usr/bin/python{VERSION}").exists():
        return root
    for folder in (state / "lists/partial", state / "archives/partial", root / "usr/lib"):
        folder.mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    run(*apt, "update")
    packages = (f"python{VERSION}", f"libpython{VERSION}-dev", "libstdc++6")  # the last for numpy
    run(*apt, "install", "--yes", "--download-only", *packages)
    for name in ("bin", "lib", "sbin"):  # the packages have files by both names
        (root / "usr" / name).mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in sorted((state / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root


def install_wheels(cache: Path) -> Path:
    """A folder with the packages that the tests import, for arm64."""
    site = cache / "site"
    if not site.exists():
        platforms = [f"--platform={name}" for name in PLATFORMS]
        options = ["--only-binary=:all:", f"--python-version={VERSION}", "--implementation=cp", *platforms]
        run(
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            *options,
            "--target",
            cache / "wheels",
            "numpy",
            "pytest",
            "hypothesis",
        )
        (cache / "wheels").rename(site)
    return site


def cross_build(cache: Path, root: Path) -> Path:
    """The folder in which minidl is built for arm64; what has not changed is not compiled again."""
    settings = cache / "settings"
    settings.mkdir(exist_ok=True)
    name = "_sysconfigdata__aarch64-linux-gnu"
    shutil.copy(root / f"usr/lib/python{VERSION}/{name}.py", settings)
    headers = root / "usr/include"
    environment = {
        "PYTHONPATH": str(settings),
        "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        "_PYTHON_SYSCONFIGDATA_NAME": name,
        "CC": "aarch64-linux-gnu-gcc",
        "LDSHARED": "aarch64-linux-gnu-gcc -shared",
        "CFLAGS": f"-I{headers}/python{VERSION} -isystem {headers}",
    }
    build = ["setup.py", "-q", "build", "--build-base", cache / "build", "--build-lib", cache / "lib"]
    run(sys.executable, *build, cwd=ROOT, env=os.environ | environment)
    return cache / "lib"


def main() -> None:
    """Everything, from the packages to the tests."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "minidl", "arm64")
    parser.add_argument("--cache", type=Path, default=default, help="a folder outside of the sources")
    parser.add_argument("--threads", type=int, default=2, help="of the kernels")
    args, tests = parser.parse_known_args()
    for program in ("apt-get", "aarch64-linux-gnu-gcc", "qemu-aarch64-static"):
        if shutil.which(program) is None:
            sys.exit(f"tools/emulate.py needs {program}: a Debian with gcc-aarch64-linux-gnu and qemu-user-static")
    cache = args.cache.resolve()
    root = unpack_debian(cache)
    site, library = install_wheels(cache), cross_build(cache, root)
    environment = os.environ | {
        "MINIDL_NUM_THREADS": str(args.threads),
        "PYTHONPATH": f"{library}:{site}",
        "QEMU_LD_PREFIX": str(root),
    }
    python = ["qemu-aarch64-static", root / f"usr/bin/python{VERSION}", "-P"]
    run(*python, "-c", "import minidl; minidl.show_config()", cwd=cache, env=environment)
    run(*python, "-m", "pytest", "-p", "no:cacheprovider", *(tests or NATIVE), cwd=ROOT, env=environment)


if __name__ == "__main__":
    main()
