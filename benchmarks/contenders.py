"""Who takes part: names for the command line, what each needs to be installed, and the environment that its process
gets.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass
from typing import Any

LIBRARIES = {
    "minidl": ("benchmarks.libraries.own", ("minidl",)),
    "torch": ("benchmarks.libraries.pytorch", ("torch",)),
    "jax": ("benchmarks.libraries.xla", ("jax",)),
    "onnxruntime": ("benchmarks.libraries.exchange", ("onnxruntime", "onnx")),
    "openvino": ("benchmarks.libraries.exchange", ("openvino", "onnx")),
    "ncnn": ("benchmarks.libraries.exchange", ("ncnn", "pnnx", "onnx")),
    "sklearn": ("benchmarks.libraries.scikit", ("sklearn",)),
}
"""library: the module here that drives it, and what must be installed for that."""

BACKENDS = ("native", "im2col", "reference")
NAMES = (
    *("native", "native:avx512", "native:avx2", "native:baseline", "im2col", "reference"),
    *("torch", "torch:channels_last", "torch:compile", "torch:bfloat16"),
    *("jax", "onnxruntime", "openvino", "ncnn", "sklearn"),
)
"""All contenders; a native one may name the instruction set that it is held to."""

COARSE = ("torch:bfloat16",)
"""Contenders of a lower precision: judged less strictly, and never the best of the others."""

COMPILING = ("torch:compile", "jax")
"""Contenders that compile a network at its first call, which may take minutes."""

SLOWED_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that hold numpy's BLAS to slower kernels; contenders run without them."""

SPINNING = ("im2col", "sklearn")
"""Contenders whose own work is done by OpenBLAS. The others run with its settings as they are, since `cohabitation`
measures them beside its threads."""

BLAS_TIMEOUT = "22"
"""OpenBLAS: log2 of the clock ticks for which its threads look for work before they sleep. Of itself 26, some 20 ms:
they would still take time from the contender that comes next."""


@dataclass(frozen=True)
class Contender:
    """name: as on the command line, "<library or backend>[:<variant>]". dtype: float64 for the judge."""

    name: str
    dtype: str = "float32"

    @property
    def base(self) -> str:
        """The name before the colon."""
        return self.name.partition(":")[0]

    @property
    def variant(self) -> str:
        """The name after the colon: an instruction set, or how PyTorch computes."""
        return self.name.partition(":")[2]

    @property
    def library(self) -> str:
        """A key of LIBRARIES."""
        return "minidl" if self.base in BACKENDS else self.base

    def environment(self, threads: int) -> dict[str, str]:
        """os.environ for this contender's process: every thread team of `threads`, no variables that slow BLAS down."""
        env = {key: value for key, value in os.environ.items() if key not in SLOWED_BLAS}
        for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MINIDL_NUM_THREADS"):
            env[key] = str(threads)
        if self.base in SPINNING:
            env["OPENBLAS_THREAD_TIMEOUT"] = BLAS_TIMEOUT
        env.pop("MINIDL_ISA", None)
        if self.library == "minidl":
            env["MINIDL_BACKEND"] = self.base
            if self.variant:
                env["MINIDL_ISA"] = self.variant
        return env

    def load(self, threads: int) -> Any:
        """Import the library (in this process), set its threads and give the object that prepares its tasks."""
        return importlib.import_module(LIBRARIES[self.library][0]).Library(self, threads)


def parse(name: str) -> Contender:
    """The contender of that name; ValueError for an unknown one."""
    if name not in NAMES:
        raise ValueError(f"unknown contender {name!r}; there are {', '.join(NAMES)}")
    return Contender(name)


def missing(contender: Contender) -> str | None:
    """Why this contender cannot take part: what is not installed; None if it can."""
    for module in LIBRARIES[contender.library][1]:
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    if contender.library == "minidl":
        from minidl import kernels

        if contender.base not in kernels.available():
            return f"this installation of minidl has no {contender.base} backend"
        if contender.base == "native" and contender.variant not in ("", *instruction_sets()):
            return f"this machine has no {contender.variant}"
    return None


def instruction_sets() -> tuple[str, ...]:
    """What the native backend can use here, its own choice first; empty without that backend."""
    from minidl import kernels

    return importlib.import_module("minidl.kernels.native").isas() if "native" in kernels.available() else ()


def everybody() -> list[Contender]:
    """All that can take part. A native one held to what `native` chooses anyway does not count."""
    twins = [f"native:{isa}" for isa in instruction_sets()[:1]]
    return [c for c in map(parse, NAMES) if c.name not in twins and missing(c) is None]


def judge() -> Contender:
    """Who says what is right, in float64: PyTorch where it is installed, else minidl's im2col backend."""
    outside = Contender("torch", "float64")
    return Contender("im2col", "float64") if missing(outside) else outside
