/* Images of another size, each row and each column a weighted sum of a few: first rows into scratch, then columns of
   these. Twin: minidl/kernels/reference/resize.py. */
#ifndef MINIDL_LANES_RESIZE_H
#define MINIDL_LANES_RESIZE_H

#include <string.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/taps.h"
#include "../core/vector.h"

enum { RESIZE_ROWS = 8 }; /* of the output a task */

static int resize_forward_task(void *context, ptrdiff_t task) {
    const resize_args *a = context;
    size bands = ceil_div(a->OH, RESIZE_ROWS), plane = task / bands, oh0 = task % bands * RESIZE_ROWS;
    const T *x = (const T *)a->x + plane * a->H * a->W * L;
    T *y = (T *)a->y + (plane * a->OH + oh0) * a->OW * L;
    T *scratch = pool_scratch(SCRATCH_TASK, (size_t)a->W * VBYTES);
    if (!scratch) return -1;
    for (size oh = oh0; oh < smaller(a->OH, oh0 + RESIZE_ROWS); oh++) {
        const T *row = mixed_row(a, oh, x, scratch, a->W * L);
        const size *index = a->columns;
        const T *weight = a->column_weight;
        for (size ow = 0; ow < a->OW; ow++, index += a->KW, weight += a->KW, y += L) {
            V sum = {0};
            for (size j = 0; j < a->KW; j++)
                if (weight[j] != 0) sum += weight[j] * load(row + index[j] * L);
            store(y, sum);
        }
    }
    return 0;
}

static int resize_forward(const resize_args *a) {
    resize_args job = *a;
    size planes = blocks_of(a->n) * a->C;
    return pool_run(resize_forward_task, &job, planes * ceil_div(a->OH, RESIZE_ROWS),
                    planes * a->OH * (a->W * a->KH + a->OW * a->KW) > PARALLEL_FROM);
}

/* x is dy, y is dx: a channel of a block. */
static int resize_backward_task(void *context, ptrdiff_t plane) {
    const resize_args *a = context;
    const T *dy = (const T *)a->x + plane * a->OH * a->OW * L;
    T *dx = (T *)a->y + plane * a->H * a->W * L;
    T *scratch = pool_scratch(SCRATCH_TASK, (size_t)a->W * VBYTES);
    if (!scratch) return -1;
    memset(dx, 0, (size_t)(a->H * a->W) * VBYTES);
    for (size oh = 0; oh < a->OH; oh++) {
        const size *rows = a->rows + oh * a->KH, *index = a->columns;
        const T *row_weight = (const T *)a->row_weight + oh * a->KH, *weight = a->column_weight;
        int direct = a->KH == 1 && row_weight[0] == 1;
        T *row = direct ? dx + rows[0] * a->W * L : scratch;
        if (!direct) memset(scratch, 0, (size_t)a->W * VBYTES);
        for (size ow = 0; ow < a->OW; ow++, index += a->KW, weight += a->KW, dy += L) {
            V d = load(dy);
            for (size j = 0; j < a->KW; j++) {
                T *to = row + index[j] * L;
                if (weight[j] != 0) store(to, load(to) + weight[j] * d);
            }
        }
        for (size i = 0; i < a->KH && !direct; i++)
            if (row_weight[i] != 0) add_row(scratch, row_weight[i], dx + rows[i] * a->W * L, a->W * L);
    }
    return 0;
}

static int resize_backward(const resize_args *a) {
    resize_args job = *a;
    size planes = blocks_of(a->n) * a->C;
    return pool_run(resize_backward_task, &job, planes,
                    planes * a->OH * (a->W * a->KH + a->OW * a->KW) > PARALLEL_FROM);
}

#endif
