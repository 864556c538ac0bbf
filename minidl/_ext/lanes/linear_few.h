/* A layer of few images whose weights no cache holds: its time is that of reading w, or writing dw, once.

   Rows of w pass as they stand, L features in a vector; images stand in rows, too. With images in lanes most lanes
   would be empty. */
#ifndef MINIDL_LANES_LINEAR_FEW_H
#define MINIDL_LANES_LINEAR_FEW_H

#include "../core/dot.h"
#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

enum { FEW_FROM_BYTES = 4 << 20, FEW_IMAGES = L / 2, FEW_ROWS = 32, FEW_FEATURES = 32 * L, AT_A_TIME = 4 };

INLINE int is_few(size n, size F, size O) {
    return n > 0 && n <= FEW_IMAGES && F * O * (size)sizeof(T) > FEW_FROM_BYTES;
}

typedef struct {
    const T *w, *b, *dy;   /* dy: (O, L) */
    T *rows, *y, *dx, *dw; /* rows: x as (n, F); y, dx with images in lanes */
    size n, F, O;
    int relu;
} few_job;

/* x (F, L) as rows of images. */
static void few_rows(const T *x, T *rows, size n, size F) {
    for (size image = 0; image < n; image++)
        for (size f = 0; f < F; f++) rows[image * F + f] = x[f * L + image];
}

INLINE void few_outputs(const int M, const int P, const few_job *job, size o, size image) {
    T sums[DOT_GROUPS * S] __attribute__((aligned(VBYTES)));
    dot_sum(M, P, job->F, job->w + o * job->F, job->rows + image * job->F, sums);
    for (int i = 0; i < M; i++) {
        T bias = job->b ? job->b[o + i] : 0;
        for (int j = 0; j < P; j++) {
            T y = sums[i * P + j] + bias;
            job->y[(o + i) * L + image + j] = job->relu && y < 0 ? 0 : y;
        }
    }
}

static int few_forward_task(void *context, ptrdiff_t task) {
    const few_job *job = context;
    size o = task * FEW_ROWS, end = smaller(job->O, o + FEW_ROWS);
    for (size row = o; row < end; row++) store(job->y + row * L, (V){0});
    for (; o < end; o += AT_A_TIME) {
        size image = 0;
        if (o + AT_A_TIME <= end) {
            for (; image + 2 <= job->n; image += 2) few_outputs(AT_A_TIME, 2, job, o, image);
            if (image < job->n) few_outputs(AT_A_TIME, 1, job, o, image);
            continue;
        }
        for (size row = o; row < end; row++)
            for (image = 0; image < job->n; image++) few_outputs(1, 1, job, row, image);
    }
    return 0;
}

/* Some features of dx, summed over all rows of w, which stay in the first cache. */
static int few_dx_task(void *context, ptrdiff_t task) {
    const few_job *job = context;
    size first = task * FEW_FEATURES, count = smaller(FEW_FEATURES, job->F - first), whole = count / L * L;
    T sums[FEW_IMAGES][FEW_FEATURES] __attribute__((aligned(VBYTES)));
    memset(sums, 0, sizeof sums);
    for (size o = 0; o < job->O; o++) {
        const T *w = job->w + o * job->F + first, *dy = job->dy + o * L;
        if (o + 1 < job->O) { /* two rows at a time: half as many sums are read and written */
            const T *w1 = w + job->F;
            for (size f = 0; f < whole; f += L) {
                V v0 = loadu(w + f), v1 = loadu(w1 + f);
                for (size image = 0; image < job->n; image++) {
                    V sum = load(sums[image] + f) + v0 * dy[image];
                    store(sums[image] + f, sum + v1 * dy[L + image]);
                }
            }
            for (size f = whole; f < count; f++)
                for (size image = 0; image < job->n; image++)
                    sums[image][f] = sums[image][f] + w[f] * dy[image] + w1[f] * dy[L + image];
            o++;
            continue;
        }
        for (size image = 0; image < job->n; image++)
            for (size f = 0; f < count; f++) sums[image][f] += w[f] * dy[image];
    }
    for (size f = 0; f < count; f++) {
        V v = {0};
        for (size image = 0; image < job->n; image++) v[image] = sums[image][f];
        store(job->dx + (first + f) * L, v);
    }
    return 0;
}

/* Some rows of dw. */
static int few_dw_task(void *context, ptrdiff_t task) {
    const few_job *job = context;
    size F = job->F, whole = F / L * L, end = smaller(job->O, (task + 1) * FEW_ROWS);
    for (size o = task * FEW_ROWS; o < end; o++) {
        const T *dy = job->dy + o * L;
        T *dw = job->dw + o * F;
        for (size f = 0; f < whole; f += L) {
            V sum = loadu(job->rows + f) * dy[0];
            for (size image = 1; image < job->n; image++) sum += loadu(job->rows + image * F + f) * dy[image];
            storeu(dw + f, sum);
        }
        for (size f = whole; f < F; f++) {
            T sum = job->rows[f] * dy[0];
            for (size image = 1; image < job->n; image++) sum += job->rows[image * F + f] * dy[image];
            dw[f] = sum;
        }
    }
    return 0;
}

static int few_forward(const linear_forward_args *a) {
    T *rows = pool_scratch(SCRATCH_CALL, (size_t)(a->n * a->F) * sizeof(T));
    if (!rows) return -1;
    few_job job = {.w = a->w, .b = a->b, .rows = rows, .y = a->y, .n = a->n, .F = a->F, .O = a->O, .relu = a->relu};
    few_rows(a->x, rows, a->n, a->F);
    return pool_run(few_forward_task, &job, ceil_div(a->O, FEW_ROWS), 1);
}

/* dy: (O, L), what the relu has left of it. rows: room for x. */
static int few_backward(const linear_backward_args *a, const T *dy, T *rows) {
    few_job job = {.w = a->w, .dy = dy, .rows = rows, .dx = a->dx, .dw = a->dw, .n = a->n, .F = a->F, .O = a->O};
    if (a->dx && pool_run(few_dx_task, &job, ceil_div(a->F, FEW_FEATURES), 1)) return -1;
    if (!a->dw) return 0;
    few_rows(a->x, rows, a->n, a->F);
    return pool_run(few_dw_task, &job, ceil_div(a->O, FEW_ROWS), 1);
}

#endif
