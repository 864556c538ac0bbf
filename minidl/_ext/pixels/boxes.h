/* Boxes of pixel arrays: a value is an element. No backward pass. */
#ifndef MINIDL_PIXELS_BOXES_H
#define MINIDL_PIXELS_BOXES_H

#include <string.h>

#include "../core/boxes.h"
#include "../core/kernels.h"
#include "../core/sizes.h"
#include "../core/vector.h"

INLINE void copy_values(const T *x, size x_step, T *y, size y_step, size count) {
    if (x_step == 1 && y_step == 1) memcpy(y, x, (size_t)count * sizeof(T));
    else if (y_step == 1)
        for (size i = 0; i < count; i++) y[i] = x[i * x_step];
    else
        for (size i = 0; i < count; i++) y[i * y_step] = x[i * x_step];
}

static int pixels_boxes_task(void *context, ptrdiff_t task) {
    const boxes_job *job = context;
    const boxes_args *a = job->args;
    size pieces = ceil_div(job->slices, job->some), image = task / pieces, from = task % pieces * job->some;
    size to = smaller(job->slices, from + job->some);
    if (job->clear) {
        T *y = (T *)a->y + image * a->F;
        for (size i = from * job->slice; i < smaller(a->F, to * job->slice); i++) y[i] = (T)a->fill;
    }
    boxes_of_slices(job, image, from, to, 1, copy_values);
    return 0;
}

static int pixels_boxes(const boxes_args *a) { return boxes_run(a, pixels_boxes_task, a->n, 1); }

#endif
