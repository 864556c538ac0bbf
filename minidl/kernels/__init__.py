"""Backends: one contract, three implementations (`reference`, `im2col`, `native`), one switch (`select`)."""

from minidl.kernels.select import available, current, use

__all__ = ["available", "current", "use"]
