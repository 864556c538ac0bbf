/* Batch normalisation of pixel arrays by running statistics: a task is one channel of one image. */
#ifndef MINIDL_PIXELS_NORM_H
#define MINIDL_PIXELS_NORM_H

#include <math.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/statistics.h"
#include "../core/vector.h"
#include "finish.h"

static int pixels_norm_task(void *context, ptrdiff_t task) {
    const norm_forward_args *a = context;
    size area = a->H * a->W, c = task % a->C;
    const T *x = (const T *)a->x + task * area;
    V mean = splat(((const T *)a->mean)[c]), scale = splat(((const T *)a->gamma)[c] * ((const T *)a->inv_std)[c]);
    V beta = splat(((const T *)a->beta)[c]);
    T *values = pool_scratch(SCRATCH_TASK, (size_t)(area + 3 * L) * sizeof(T));
    if (!values) return -1;
    for (size p = 0; p < area; p += L) storeu(values + p, norm_value(loadu(x + p), mean, scale, beta));
    size rows = a->pool ? a->H / 2 : 1, columns = a->pool ? a->W / 2 : area;
    T *y = (T *)a->y + task * rows * columns;
    finish(values, a->W, rows, columns, a->relu, a->pool, y, y + rows * columns);
    return 0;
}

static int pixels_norm(const norm_forward_args *a) {
    norm_forward_args job = *a;
    for (size c = 0; c < a->C; c++) {
        ((T *)a->mean)[c] = ((const T *)a->running_mean)[c];
        ((T *)a->inv_std)[c] = (T)(1 / sqrt((double)((const T *)a->running_var)[c] + a->eps));
    }
    return pool_run(pixels_norm_task, &job, a->n * a->C, a->n * a->C * a->H * a->W > PARALLEL_FROM);
}

#endif
