/* Capsules: vectors whose length, below 1 after squashing, says how sure the network is of what they stand for. Those
   of L lanes at once; the D values of each are `step` apart. */
#ifndef MINIDL_CORE_CAPSULE_H
#define MINIDL_CORE_CAPSULE_H

#include "functions.h"
#include "kernels.h"
#include "vector.h"

/* 1 / x, and 0 for 0. */
INLINE V inverse_or_zero(V x) { return (V)((VI)(1 / x) & (x != 0)); }

INLINE V square_sum(const T *s, size step, size D) {
    V sum = {0};
    for (size d = 0; d < D; d++) {
        V value = load(s + d * step);
        sum += value * value;
    }
    return sum;
}

/* v = s |s| / (1 + |s|^2); may be s. */
INLINE void squash(const T *s, size step, size D, T *v) {
    V square = square_sum(s, step, D), factor = square_root(square) / (1 + square);
    for (size d = 0; d < D; d++) store(v + d * L, load(s + d * step) * factor);
}

/* ds = dv |s| / (1 + |s|^2) + s (s.dv) (1 - |s|^2) / (|s| (1 + |s|^2)^2), `step` apart, too; may be s. */
INLINE void squash_slope(const T *dv, const T *s, size step, size D, T *ds) {
    V square = square_sum(s, step, D), length = square_root(square), dot = {0};
    for (size d = 0; d < D; d++) dot += load(s + d * step) * load(dv + d * L);
    V factor = length / (1 + square);
    V along = dot * inverse_or_zero(length) * ((1 - square) / (1 + square) / (1 + square));
    for (size d = 0; d < D; d++) store(ds + d * step, load(dv + d * L) * factor + load(s + d * step) * along);
}

#endif
