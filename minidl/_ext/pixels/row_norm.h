/* Group and layer normalisation of pixel arrays: a task is one row of one image. */
#ifndef MINIDL_PIXELS_ROW_NORM_H
#define MINIDL_PIXELS_ROW_NORM_H

#include <math.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/statistics.h"
#include "../core/vector.h"

/* As row_sums, of `count` neighbouring values. */
static double pixels_row_sum(const T *x, size count, T mean, int power) {
    double total = 0;
    for (size p0 = 0; p0 < count; p0 += SUM_CHUNK * L) {
        size p1 = smaller(count, p0 + SUM_CHUNK * L), p = p0;
        V sum = {0};
        for (; p + L <= p1; p += L) {
            V d = loadu(x + p) - mean;
            sum += power == 1 ? d : d * d;
        }
        total += sum_wide(sum);
        for (; p < p1; p++) {
            double d = (double)(x[p] - mean);
            total += power == 1 ? d : d * d;
        }
    }
    return total;
}

static int pixels_row_norm_task(void *context, ptrdiff_t task) {
    const row_norm_forward_args *a = context;
    size K = a->F / a->R, runs = K / a->area, first = task % a->R * runs % a->P;
    const T *restrict x = (const T *)a->x + task * K;
    const T *restrict gamma = (const T *)a->gamma + first, *restrict beta = (const T *)a->beta + first;
    T *restrict y = (T *)a->y + task * K;
    T mean = (T)(pixels_row_sum(x, K, 0, 1) / (double)K);
    T inv_std = (T)(1 / sqrt(pixels_row_sum(x, K, mean, 2) / (double)K + a->eps));
    ((T *)a->mean)[task] = mean;
    ((T *)a->inv_std)[task] = inv_std;
    if (a->area == 1) {
        for (size i = 0; i < K; i++) y[i] = (x[i] - mean) * (gamma[i] * inv_std) + beta[i];
        return 0;
    }
    for (size i = 0; i < runs; i++, x += a->area, y += a->area) {
        T scale = gamma[i] * inv_std, shift = beta[i];
        for (size p = 0; p < a->area; p++) y[p] = (x[p] - mean) * scale + shift;
    }
    return 0;
}

static int pixels_row_norm(const row_norm_forward_args *a) {
    row_norm_forward_args job = *a;
    return pool_run(pixels_row_norm_task, &job, a->n * a->R, a->n * a->F > PARALLEL_FROM);
}

#endif
