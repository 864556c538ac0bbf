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
    const resize_job *job = context;
    const taps *t = &job->columns;
    size bands = ceil_div(job->OH, PIXELS_RESIZE_ROWS), plane = task / bands, oh = task % bands * PIXELS_RESIZE_ROWS;
    size end = smaller(job->OH, oh + PIXELS_RESIZE_ROWS);
    const T *x = job->x + plane * job->H * job->W;
    T *y = job->y + (plane * job->OH + oh) * job->OW;
    T *scratch = pool_scratch(SCRATCH_TASK, (size_t)job->W * sizeof(T));
    if (!scratch) return -1;
    for (; oh < end; oh++) {
        const T *row = mixed_row(&job->rows, oh, x, scratch, job->W);
        for (size ow = 0; ow < job->OW; ow++) {
            T sum = 0;
            for (size k = t->from[ow]; k < t->from[ow + 1]; k++) sum += t->weight[k] * row[t->index[k]];
            *y++ = sum;
        }
    }
    return 0;
}

static int pixels_resize(const resize_args *a) {
    resize_job job;
    if (resize_prepare(a, a->n, 0, &job)) return -1;
    return pool_run(pixels_resize_task, &job, job.planes * ceil_div(job.OH, PIXELS_RESIZE_ROWS),
                    resize_parallel(&job, L));
}

#endif
