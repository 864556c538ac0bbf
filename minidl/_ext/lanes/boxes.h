/* Boxes of images in lanes: a value is a vector. Twin: minidl/kernels/reference/boxes.py. */
#ifndef MINIDL_LANES_BOXES_H
#define MINIDL_LANES_BOXES_H

#include <string.h>

#include "../core/boxes.h"
#include "../core/kernels.h"
#include "../core/sizes.h"
#include "../core/vector.h"

INLINE void copy_vectors(const T *x, size x_step, T *y, size y_step, size count) {
    if (x_step == 1 && y_step == 1) memcpy(y, x, (size_t)count * VBYTES);
    else
        for (size i = 0; i < count; i++) store(y + i * y_step * L, load(x + i * x_step * L));
}

INLINE void add_vectors(const T *x, size x_step, T *y, size y_step, size count) {
    for (size i = 0; i < count; i++) {
        T *to = y + i * y_step * L;
        store(to, load(to) + load(x + i * x_step * L));
    }
}

static int boxes_task(void *context, ptrdiff_t task) {
    const boxes_job *job = context;
    const boxes_args *a = job->args;
    size pieces = ceil_div(job->slices, job->some), block = task / pieces, from = task % pieces * job->some;
    size to = smaller(job->slices, from + job->some);
    if (job->clear) { /* empty lanes take no fill: they must stay finite */
        V fill = (V)((VI)splat((T)a->fill) & lanes_below(smaller(L, a->n - block * L)));
        T *y = (T *)a->y + block * a->F * L;
        for (size i = from * job->slice; i < smaller(a->F, to * job->slice); i++) store(y + i * L, fill);
    }
    if (a->adjoint) boxes_of_slices(job, block, from, to, L, add_vectors);
    else boxes_of_slices(job, block, from, to, L, copy_vectors);
    return 0;
}

static int boxes(const boxes_args *a) { return boxes_run(a, boxes_task, blocks_of(a->n), L); }

#endif
