"""Extensions of minidl; everything else about the package stands in pyproject.toml.

MINIDL_SANITIZE=1 in the environment builds them with the address and undefined-behaviour sanitizers (`make sanitize`),
MINIDL_SANITIZE=baseline those of the narrowest vectors alone, MINIDL_SANITIZE=threads these with the one that finds
races (`make sanitize-threads`), MINIDL_SANITIZE=fuzzer these with the address sanitizer and Clang's counters of the
places that were reached (`make fuzz-sizes`).
"""

import gzip
import os
import platform
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

SANITIZERS = {
    "1": "address,undefined",
    "baseline": "address,undefined",
    "threads": "thread",
    "fuzzer": "address,fuzzer-no-link",
}
SANITIZE = SANITIZERS.get(os.environ.get("MINIDL_SANITIZE", ""))

# -g0: Python's own flags often ask for debugging information, which is several times larger than the code. Nothing
# unwinds the stack, and nobody looks functions up by their names.
FLAGS = ["-O3", "-g0", "-std=gnu11", "-Wall", "-Wextra", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-fno-asynchronous-unwind-tables", "-fvisibility=hidden"]
FLAGS.append("-ffp-contract=fast")  # as GCC does by itself
LINK = []
if sys.platform != "win32":
    FLAGS.append("-pthread")
    LINK.append("-pthread")
if sys.platform == "linux" and not SANITIZE:
    LINK.append("-Wl,--strip-all")
if SANITIZE:
    FLAGS += ["-g1", "-O1", f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
    LINK.append(f"-fsanitize={SANITIZE}")
    if "undefined" in SANITIZE:
        FLAGS.append("-fno-sanitize-recover=all")

# What only calls kernels is compiled for size: a third less than with -O2, for a call that takes 15 to 30 ns longer.
BINDING_FLAGS = ["-Os" if flag == "-O3" else flag for flag in FLAGS]

SMALL = "baseline_f32", "baseline_f64", "avx2_f64", "avx512_f64"
"""Of x86-64 what runs seldom: with -O2 three quarters the size, and as fast within the 3 % that could be measured."""

SHARED = "minidl._ext.shared"
"""The module with the parts of Cython's own code that all others would else have a copy of."""

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
    "map",
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
    """`im2col` needs any C compiler; the native backend's need GCC or Clang, and may fail to build."""
    flags = {"extra_compile_args": FLAGS, "extra_link_args": LINK}
    found = [
        Extension(SHARED, ["minidl/_ext/shared.c"], **flags | {"extra_compile_args": BINDING_FLAGS}),
        Extension("minidl._ext.im2col", ["minidl/_ext/im2col.pyx"], **flags),
    ]
    sources = Path("minidl/_ext")
    headers = {
        "include_dirs": [sources.as_posix()],
        "depends": sorted(path.as_posix() for path in sources.rglob("*.h")),
    }
    kernels = sorted(path.as_posix() for path in sources.glob("*/*.c"))
    if SANITIZE:
        level = 4 if "avx512vl" in Path("/proc/cpuinfo").read_text() else 3  # what nothing here could run is left out
        level = level if os.environ["MINIDL_SANITIZE"] == "1" else 1
        left_out = {4: (), 3: ("avx512_",), 1: ("avx512_", "avx2_")}[level]
        kernels = [path for path in kernels if not Path(path).name.startswith(left_out)]
        FLAGS.append(f"-DMINIDL_LEVEL={level}")
    found.append(Extension("minidl._ext.lanearray", ["minidl/_ext/lanearray.pyx", *kernels], **headers, **flags))
    flags["extra_compile_args"] = BINDING_FLAGS
    for family in FAMILIES:
        found.append(Extension(f"minidl._ext.{family}", [f"minidl/_ext/{family}.pyx"], **headers, **flags))
    return found


class BuildExtensions(build_ext):
    """Compiles files side by side, and says in plain words what a failed optional extension means."""

    def build_extensions(self) -> None:
        """Compile extensions, and the long C files of one, side by side."""
        if self.compiler.compiler_type == "msvc":  # has no vectors as a type
            print("minidl: MSVC cannot compile the native backend; mingw-w64 and Clang can", file=sys.stderr)
            self.extensions = [ext for ext in self.extensions if not ext.optional]
            for ext in self.extensions:
                ext.extra_compile_args, ext.extra_link_args = ["/O2"], []
        elif sys.platform == "win32" and "clang" not in self.compiler.compiler_so[0]:
            for ext in self.extensions:  # GCC takes the stack there for aligned to vectors, which it is not
                ext.extra_compile_args = [*ext.extra_compile_args, "-Wa,-muse-unaligned-vector-move"]
        self.parallel = self.parallel or os.cpu_count()
        compile_files = self.compiler.compile

        def compile_side_by_side(sources: list[str], *args: Any, **kwargs: Any) -> list[str]:
            def compile_one(source: str) -> list[str]:
                flags = kwargs["extra_postargs"]
                if platform.machine() in ("x86_64", "AMD64") and Path(source).stem in SMALL:
                    flags = [flag.replace("-O3", "-O2") for flag in flags]
                return compile_files([source], *args, **kwargs | {"extra_postargs": flags})

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return [path for paths in pool.map(compile_one, sources) for path in paths]

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


class SourceDistribution(sdist):
    """Packs the same files into the same bytes: in order, of nobody, from SOURCE_DATE_EPOCH if that is set."""

    def make_archive(self, base_name: str, *args: Any, base_dir: str, **kwargs: Any) -> str:
        """The archive of the folder base_dir, always a .tar.gz."""
        path = f"{base_name}.tar.gz"
        now = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=now) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for member in sorted(Path(base_dir).rglob("*")):
                if member.is_file():
                    info = tarfile.TarInfo(member.as_posix())
                    info.size, info.mtime = member.stat().st_size, now
                    info.mode = 0o755 if os.access(member, os.X_OK) else 0o644
                    with open(member, "rb") as content:
                        archive.addfile(info, content)
        return path


os.umask(0o022)  # the rights of files in a wheel, too, depend on nobody's settings
modules = cythonize(
    extensions(),
    build_dir="build/cython",
    shared_utility_qualified_name=SHARED,
    # What all threads share is guarded in C or read only; see docs/kernels/threads.md.
    compiler_directives={"freethreading_compatible": True},
)
for module in modules:
    module.optional = module.name not in (SHARED, "minidl._ext.im2col")  # set here, as cythonize forgets it

setup(ext_modules=modules, cmdclass={"build_ext": BuildExtensions, "sdist": SourceDistribution})
