"""Compiled code: `im2col` (Cython kernels on NCHW arrays) and `native` (one image per SIMD lane)."""
