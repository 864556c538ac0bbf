"""Compile kernels and pool without Python, for any system that a compiler knows, and run a program that tests them.

    python tools/without_python.py                                      # this compiler, this system
    python tools/without_python.py --cc clang-19
    python tools/without_python.py --plain                              # as on a system without Linux's affinity masks
    python tools/without_python.py --level 1                            # the narrowest vectors of x86 alone
    python tools/without_python.py --cc "gcc -fsanitize=thread"         # as `make sanitize-threads` does
    python tools/without_python.py --cc "gcc -g -include tools/atomics_for_helgrind.h" --level 1 \\
        --run "valgrind --tool=helgrind --error-exitcode=1"             # or --tool=drd
    python tools/without_python.py --cc x86_64-w64-mingw32-gcc --run wine
    python tools/without_python.py --cc "clang-19 --target=x86_64-w64-mingw32" --run wine

The program is tests/kernels/without_python.c. A warning of the compiler is an error, as is what the program finds.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLAGS = ("-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fno-math-errno", "-fno-trapping-math", "-Iminidl/_ext")
ON_WINDOWS = ("-static",)
ELSEWHERE = ("-pthread", "-lm")


def output(*command: str) -> str:
    """What a command prints; exits with what it said where it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Compile, link, run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"), help="the compiler, with options of its own")
    parser.add_argument("--run", default="", help="what starts the program on this system, as wine")
    parser.add_argument("--plain", action="store_true", help="threads as POSIX has them, nothing of Linux")
    parser.add_argument("--level", type=int, choices=(1, 3, 4), default=4, help="of x86, the widest vectors compiled")
    wanted = parser.parse_args()
    compiler = shlex.split(wanted.cc)
    macros = output(*compiler, "-dM", "-E", "-x", "c", os.devnull)
    windows, clang = "#define _WIN32 " in macros, "#define __clang__ " in macros
    flags = [*FLAGS, *(["-DMINIDL_PLAIN_THREADS"] if wanted.plain else [])]
    if not clang:  # with -O1, and more so for sanitizers, GCC does not see that a loop sets every lane of a vector
        flags.append("-Wno-maybe-uninitialized")
    if windows and not clang:
        flags.append("-Wa,-muse-unaligned-vector-move")  # as setup.py says
    flags.append(f"-DMINIDL_LEVEL={wanted.level}")
    left_out = {4: (), 3: ("avx512_",), 1: ("avx512_", "avx2_")}[wanted.level]
    kernels = [path for path in sorted((ROOT / "minidl/_ext").glob("*/*.c")) if not path.name.startswith(left_out)]
    sources = [ROOT / "tests/kernels/without_python.c", *kernels]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = [f"{folder}/{source.stem}.o" for source in sources]
        commands = [
            [*compiler, *flags, "-c", str(source), "-o", made] for source, made in zip(sources, objects, strict=True)
        ]
        list(pool.map(lambda command: output(*command), commands))
        program = f"{folder}/without_python.exe"
        output(*compiler, *objects, "-o", program, *(ON_WINDOWS if windows else ELSEWHERE))
        print(output(*shlex.split(wanted.run), program), end="")


if __name__ == "__main__":
    main()
