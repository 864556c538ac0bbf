/* Pixel arrays of another size: a task is some rows of one channel of one image. */
#ifndef MINIDL_PIXELS_RESIZE_H
#define MINIDL_PIXELS_RESIZE_H

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/taps.h"
#include "../core/vector.h"

enum { PIXELS_RESIZE_ROWS = 16 };

static int pixels_resize_task(void *context, ptrdiff_t task) {
    const resize_args *a = context;
    size bands = ceil_div(a->OH, PIXELS_RESIZE_ROWS), plane = task / bands, oh0 = task % bands * PIXELS_RESIZE_ROWS;
    const T *x = (const T *)a->x + plane * a->H * a->W;
    T *y = (T *)a->y + (plane * a->OH + oh0) * a->OW;
    T *scratch = pool_scratch(SCRATCH_TASK, (size_t)a->W * sizeof(T));
    if (!scratch) return -1;
    for (size oh = oh0; oh < smaller(a->OH, oh0 + PIXELS_RESIZE_ROWS); oh++) {
        const T *row = mixed_row(a, oh, x, scratch, a->W);
        const size *index = a->columns;
        const T *weight = a->column_weight;
        for (size ow = 0; ow < a->OW; ow++, index += a->KW, weight += a->KW) {
            T sum = 0;
            for (size j = 0; j < a->KW; j++)
                if (weight[j] != 0) sum += weight[j] * row[index[j]];
            *y++ = sum;
        }
    }
    return 0;
}

static int pixels_resize(const resize_args *a) {
    resize_args job = *a;
    size rows = a->n * a->C * a->OH;
    return pool_run(pixels_resize_task, &job, a->n * a->C * ceil_div(a->OH, PIXELS_RESIZE_ROWS),
                    rows * (a->W * a->KH / L + a->OW * a->KW) > PARALLEL_FROM);
}

#endif
