/* Linear layer of pixel arrays: y[n, o] = sum_f x[n, f] w[o, f], vectors of L features of one image or of one row of w.
   A tile takes some rows of w times some images; every row of w is read once for each DOT_P images. */
#ifndef MINIDL_PIXELS_LINEAR_H
#define MINIDL_PIXELS_LINEAR_H

#include <string.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

enum { DOT_M = 8, DOT_P = VBYTES == 64 ? 4 : 2, DOT_ROWS = 32 /* of w, a task */ };

/* The last count elements before `end`, in the upper lanes of a vector; read from before them where it can be. */
INLINE V load_last(const T *end, size count, size whole) {
    V v = {0};
    if (whole) return (V)((VI)loadu(end - L) & ~lanes_below(L - count));
    memcpy(&v, end - count, (size_t)count * sizeof(T));
    return v;
}

INLINE void dot_sum(const int M, const int P, const linear_forward_args *a, size o, size n) {
    size F = a->F, whole = F / L * L;
    const T *w = (const T *)a->w + o * F, *x = (const T *)a->x + n * F;
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
    enum { GROUPS = (DOT_M * DOT_P + S - 1) / S };
    T sums[GROUPS * S] __attribute__((aligned(VBYTES)));
    UNROLL for (int t = 0; t < (M * P + S - 1) / S; t++) {
        VS group[S];
        UNROLL for (int k = 0; k < S; k++) {
            int at = t * S + k;
            group[k] = at < M * P ? add_halves(acc[at / P][at % P]) : (VS){0};
        }
        *(VS *)(sums + t * S) = sum_lanes(group);
    }
    for (int i = 0; i < M; i++) {
        T bias = a->b ? ((const T *)a->b)[o + i] : 0;
        for (int j = 0; j < P; j++) {
            T y = sums[i * P + j] + bias;
            ((T *)a->y)[(n + j) * a->O + o + i] = a->relu && y < 0 ? 0 : y;
        }
    }
}

/* P images times rows [o0, o1), M at a time as long as there are so many. */
INLINE void dot_rows(const int M, const int P, const linear_forward_args *a, size o0, size o1, size n) {
    for (; o0 + M <= o1; o0 += M) dot_sum(M, P, a, o0, n);
    for (; o0 < o1; o0++) dot_sum(1, P, a, o0, n);
}

static int pixels_linear_task(void *context, ptrdiff_t task) {
    const linear_forward_args *a = context;
    size o0 = task * DOT_ROWS, o1 = smaller(a->O, o0 + DOT_ROWS), n = 0;
    for (; n + DOT_P <= a->n; n += DOT_P) dot_rows(4, DOT_P, a, o0, o1, n);
    switch (a->n - n) {
    case 1: dot_rows(8, 1, a, o0, o1, n); break;
#if VBYTES == 64
    case 2: dot_rows(8, 2, a, o0, o1, n); break;
    case 3: dot_rows(4, 3, a, o0, o1, n); break;
#endif
    }
    return 0;
}

static int pixels_linear(const linear_forward_args *a) {
    linear_forward_args job = *a;
    return pool_run(pixels_linear_task, &job, ceil_div(a->O, DOT_ROWS), a->n * a->F * a->O / L > PARALLEL_FROM);
}

#endif
