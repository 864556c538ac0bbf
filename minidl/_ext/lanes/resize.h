/* Images of another size, each row and each column a weighted sum of a few: first rows into scratch, then columns of
   these. The gradient is the same with the taps turned round. Twin: minidl/kernels/reference/resize.py. */
#ifndef MINIDL_LANES_RESIZE_H
#define MINIDL_LANES_RESIZE_H

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/taps.h"
#include "../core/vector.h"

enum { RESIZE_ROWS = 8 }; /* of the output a task */

static int resize_task(void *context, ptrdiff_t task) {
    const resize_job *job = context;
    const taps *t = &job->columns;
    size bands = ceil_div(job->OH, RESIZE_ROWS), plane = task / bands, oh = task % bands * RESIZE_ROWS;
    size end = smaller(job->OH, oh + RESIZE_ROWS);
    const T *x = job->x + plane * job->H * job->W * L;
    T *y = job->y + (plane * job->OH + oh) * job->OW * L;
    T *scratch = pool_scratch(SCRATCH_TASK, (size_t)job->W * VBYTES);
    if (!scratch) return -1;
    for (; oh < end; oh++) {
        const T *row = mixed_row(&job->rows, oh, x, scratch, job->W * L);
        for (size ow = 0; ow < job->OW; ow++, y += L) {
            V sum = {0};
            for (size k = t->from[ow]; k < t->from[ow + 1]; k++) sum += t->weight[k] * load(row + t->index[k] * L);
            store(y, sum);
        }
    }
    return 0;
}

static int resize_run(const resize_args *a, int back) {
    resize_job job;
    if (resize_prepare(a, blocks_of(a->n), back, &job)) return -1;
    return pool_run(resize_task, &job, job.planes * ceil_div(job.OH, RESIZE_ROWS), resize_parallel(&job, 1));
}

static int resize_forward(const resize_args *a) { return resize_run(a, 0); }

static int resize_backward(const resize_args *a) { return resize_run(a, 1); }

#endif
