/* The largest value over some dimensions, see maximum_args; sums are gradients of a broadcast sum, lanes/arithmetic.h.
   Twin: minidl/kernels/reference/reduce.py. */
#ifndef MINIDL_LANES_REDUCE_H
#define MINIDL_LANES_REDUCE_H

#include <math.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"
#include "arithmetic.h"

/* A task is some values of y of one block. The first NaN wins, else the first of the largest. */
typedef struct {
    const maximum_args *args;
    size each;
} maximum_job;

static int maximum_task(void *context, ptrdiff_t task) {
    const maximum_job *job = context;
    const maximum_args *args = job->args;
    size F = args->y.F, parts = ceil_div(F, job->each), block = task / parts, first = task % parts * job->each;
    VI mask = lanes_below(args->n - block * L);
    for (size e = first; e < smaller(F, first + job->each); e++) {
        size low[3], high[3], at = (block * F + e) * L;
        broadcast_places(&args->y, args->sizes, e, low, high);
        V best = splat((T)-HUGE_VAL), dy = {0};
        VI open = ~(VI){0};
        if (args->dy) {
            best = load((const T *)args->y.data + at);
            dy = load((const T *)args->dy + at);
            open = mask;
        }
        for (size k = low[0]; k < high[0]; k++) {
            for (size j = low[1]; j < high[1]; j++) {
                size row = ((block * args->sizes[0] + k) * args->sizes[1] + j) * args->sizes[2];
                for (size i = row + low[2]; i < row + high[2]; i++) {
                    V v = load((const T *)args->x + i * L);
                    if (!args->dy) {
                        best = choose(((v > best) | (v != v)) & (best == best), v, best);
                        continue;
                    }
                    VI here = ((v == best) | ((v != v) & (best != best))) & open;
                    open &= ~here;
                    store((T *)args->out + i * L, (V)((VI)dy & here));
                }
            }
        }
        if (!args->dy) store((T *)args->out + at, best);
    }
    return 0;
}

static int maximum(const maximum_args *args) {
    maximum_job job = {args, larger(1, WALK * args->y.F / larger(1, image_size(args->sizes)))};
    return pool_run(maximum_task, &job, blocks_of(args->n) * ceil_div(args->y.F, job.each), 1);
}

#endif
