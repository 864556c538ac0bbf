/* Products of rows: sums over vectors of L neighbouring features, M rows of weights times P images at a time. */
#ifndef MINIDL_CORE_DOT_H
#define MINIDL_CORE_DOT_H

#include <string.h>

#include "sizes.h"
#include "vector.h"

enum { DOT_M = 8, DOT_P = VBYTES == 64 ? 4 : 2, DOT_GROUPS = (DOT_M * DOT_P + S - 1) / S };

/* The last count elements before `end`, in the upper lanes of a vector; read from before them where it can be. */
INLINE V load_last(const T *end, size count, size whole) {
    V v = {0};
    if (whole) return (V)((VI)loadu(end - L) & ~lanes_below(L - count));
    memcpy(&v, end - count, (size_t)count * sizeof(T));
    return v;
}

/* sums[i * P + j] = sum_f w[i, f] x[j, f]; room for DOT_GROUPS * S of them. */
INLINE void dot_sum(const int M, const int P, size F, const T *w, const T *x, T *sums) {
    size whole = F / L * L;
    V acc[DOT_M][DOT_P];
    UNROLL for (int i = 0; i < M; i++) { UNROLL for (int j = 0; j < P; j++) acc[i][j] = (V){0}; }
    for (size f = 0; f < whole; f += L) {
        V xv[DOT_P];
        UNROLL for (int j = 0; j < P; j++) xv[j] = loadu(x + j * F + f);
        UNROLL for (int i = 0; i < M; i++) {
            V wv = loadu(w + i * F + f);
            UNROLL for (int j = 0; j < P; j++) acc[i][j] += wv * xv[j];
        }
    }
    if (whole < F) {
        V xv[DOT_P];
        UNROLL for (int j = 0; j < P; j++) xv[j] = load_last(x + (j + 1) * F, F - whole, whole);
        UNROLL for (int i = 0; i < M; i++) {
            V wv = load_last(w + (i + 1) * F, F - whole, whole);
            UNROLL for (int j = 0; j < P; j++) acc[i][j] += wv * xv[j];
        }
    }
    UNROLL for (int t = 0; t < (M * P + S - 1) / S; t++) {
        VS group[S];
        UNROLL for (int k = 0; k < S; k++) {
            int at = t * S + k;
            group[k] = at < M * P ? add_halves(acc[at / P][at % P]) : (VS){0};
        }
        *(VS *)(sums + t * S) = sum_lanes(group);
    }
}

#endif
