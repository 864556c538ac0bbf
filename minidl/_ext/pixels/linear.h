/* Linear layer of pixel arrays: y[n, o] = sum_f x[n, f] w[o, f], vectors of L features of one image or of one row of w.
   A tile takes some rows of w times some images; every row of w is read once for each DOT_P images. */
#ifndef MINIDL_PIXELS_LINEAR_H
#define MINIDL_PIXELS_LINEAR_H

#include "../core/dot.h"
#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

enum { DOT_ROWS = 32 /* of w, a task */ };

INLINE void dot_outputs(const int M, const int P, const linear_forward_args *a, size o, size n) {
    T sums[DOT_GROUPS * S] __attribute__((aligned(VBYTES)));
    dot_sum(M, P, a->F, (const T *)a->w + o * a->F, (const T *)a->x + n * a->F, sums);
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
    for (; o0 + M <= o1; o0 += M) dot_outputs(M, P, a, o0, n);
    for (; o0 < o1; o0++) dot_outputs(1, P, a, o0, n);
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
