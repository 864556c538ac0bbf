/* Arithmetic of sizes: parts, blocks, and from when on threads pay. */
#ifndef MINIDL_CORE_SIZES_H
#define MINIDL_CORE_SIZES_H

#include "kernels.h"
#include "vector.h"

INLINE size ceil_div(size a, size b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }
INLINE size blocks_of(size n) { return (n + L - 1) / L; }
INLINE size smaller(size a, size b) { return a < b ? a : b; }
INLINE size larger(size a, size b) { return a > b ? a : b; }

/* Below this many vector operations a second thread costs more than it brings. */
enum { PARALLEL_FROM = 10000 };

#endif
