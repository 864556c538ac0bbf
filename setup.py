"""Extensions of minidl; everything else about the package stands in pyproject.toml.

MINIDL_SANITIZE=1 in the environment builds them with the address and undefined-behaviour sanitizers (`make sanitize`).
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

MSVC = sys.platform == "win32" and "GCC" not in sys.version
SANITIZE = os.environ.get("MINIDL_SANITIZE") == "1"

# -g0: Python's own flags often ask for debugging information, which is several times larger than the code.
GNU_FLAGS = ["-O3", "-g0", "-std=gnu11", "-Wall", "-Wextra", "-fno-math-errno", "-fno-trapping-math", "-pthread"]

FLAGS = ["/O2"] if MSVC else GNU_FLAGS
LINK = [] if MSVC else ["-pthread"]
if sys.platform == "linux" and not SANITIZE:
    LINK.append("-Wl,--strip-all")  # nobody looks the functions up by their names
if SANITIZE:
    FLAGS += ["-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    LINK += ["-fsanitize=address,undefined"]

FAMILIES = [
    "activation",
    "boxes",
    "arithmetic",
    "capsule",
    "conv",
    "conv_transpose",
    "dropout",
    "elementwise",
    "layout",
    "linear",
    "local_response",
    "loss",
    "matmul",
    "norm",
    "pooling",
    "program",
    "resize",
    "reduce",
    "row_norm",
    "training_program",
    "update",
    "watch",
]
"""Of the native backend's operations."""


def extensions() -> list[Extension]:
    """`im2col` needs any C compiler; the native backend's need one with vector extensions, and may fail to build."""
    flags = {"extra_compile_args": FLAGS, "extra_link_args": LINK}
    found = [Extension("minidl._ext.im2col", ["minidl/_ext/im2col.pyx"], **flags)]
    if MSVC:
        print("minidl: this compiler has no vector extensions; installing without the native backend", file=sys.stderr)
        return found
    sources = Path("minidl/_ext")
    headers = {
        "include_dirs": [sources.as_posix()],
        "depends": sorted(path.as_posix() for path in sources.rglob("*.h")),
    }
    kernels = sorted(path.as_posix() for path in sources.glob("*/*.c"))
    found.append(Extension("minidl._ext.lanearray", ["minidl/_ext/lanearray.pyx", *kernels], **headers, **flags))
    for family in FAMILIES:
        found.append(Extension(f"minidl._ext.{family}", [f"minidl/_ext/{family}.pyx"], **headers, **flags))
    return found


class BuildExtensions(build_ext):
    """Compiles files side by side, and says in plain words what a failed optional extension means."""

    def build_extensions(self) -> None:
        """Compile extensions, and the long C files of one, side by side."""
        self.parallel = self.parallel or os.cpu_count()
        compile_files = self.compiler.compile

        def compile_side_by_side(sources: list[str], *args: Any, **kwargs: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_files([source], *args, **kwargs), sources)
                return [path for paths in objects for path in paths]

        self.compiler.compile = compile_side_by_side
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        """Compile one extension."""
        try:
            super().build_extension(ext)
        except Exception:
            if ext.optional:
                print(f"minidl: {ext.name} did not compile; installing without the native backend", file=sys.stderr)
            raise


modules = cythonize(extensions(), build_dir="build/cython")
for module in modules:
    module.optional = not module.name.endswith(".im2col")  # set here, as cythonize forgets it

setup(ext_modules=modules, cmdclass={"build_ext": BuildExtensions})
