/* Losses that are a sum over single values: each value's loss and gradient in one pass; empty lanes as in loss.h. */
#ifndef MINIDL_LANES_VALUE_LOSS_H
#define MINIDL_LANES_VALUE_LOSS_H

#include "../core/element.h"
#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"
#include "loss.h"

/* The slope of one value's loss, and two factors whose product, taken in double, is that loss. */
typedef struct {
    V slope, a, b;
} valued;

/* (1 - t) log(1 + exp(x)) + p t log(1 + exp(-x)); what is weighed with 0 counts nothing, even at an infinite x. */
INLINE valued sigmoid_loss(V x, V t, T p) {
    V e, more = log_one_more(x, &e), s = 1 / (1 + e), es = e * s;
    V no = 1 - t, yes = p * t;
    V loss = (V)((VI)(no * (relu(x) + more)) & (no != 0)) + (V)((VI)(yes * (relu(-x) + more)) & (yes != 0));
    return (valued){no * choose(x < 0, es, s) - yes * choose(x < 0, s, es), loss, splat(1)};
}

INLINE valued value_of(value_loss which, V x, V t, T p) {
    V d = x - t, g;
    switch (which) {
    case LOSS_SQUARED: return (valued){d, d, d};
    case LOSS_ABSOLUTE:
        g = choose(d > 0, splat(1), choose(d < 0, splat(-1), d)); /* 0 and NaN stay */
        return (valued){g, g, d};
    case LOSS_HUBER: g = at_most(at_least(d, -p), p); return (valued){g, g, d - g / 2};
    case LOSS_SIGMOID: return sigmoid_loss(x, t, p);
    }
    __builtin_unreachable();
}

typedef struct {
    value_loss_args *a;
    double total;           /* that the sum is divided by */
    double *loss, *correct; /* of each block */
} value_job;

/* Target f of a block's rows, out of the lanes or out of rows (n, F). */
INLINE V row_target(const value_loss_args *a, size block, size lanes, size f) {
    if (a->in_lanes) return load((const T *)a->target + (block * a->F + f) * L);
    V t = {0};
    for (size l = 0; l < lanes; l++) {
        T value = ((const T *)a->target)[(block * L + l) * a->F + f];
        t[l] = value;
    }
    return t;
}

INLINE void value_rows(const value_job *job, size block, value_loss which) {
    const value_loss_args *a = job->a;
    size n0 = block * L, lanes = smaller(L, a->n - n0);
    V factor = row_shares(a->weight, a->scale, job->total, n0, lanes);
    VI mask = lanes_below(lanes) & (factor != 0), right = {0};
    double losses[L] = {0}, loss = 0, correct = 0;
    for (size f = 0; f < a->F; f++) {
        size at = (block * a->F + f) * L;
        V x = load((const T *)a->x + at), t = row_target(a, block, lanes, f);
        T p = a->pos_weight ? ((const T *)a->pos_weight)[f] : (T)a->parameter;
        valued v = value_of(which, x, t, p);
        UNROLL for (int l = 0; l < L; l++) losses[l] += (double)v.a[l] * (double)v.b[l];
        if (which == LOSS_SIGMOID) right -= ((x > 0) == (t >= (T)0.5)) & (x == x);
        store((T *)a->dx + at, (V)((VI)(v.slope * factor) & mask));
    }
    for (size l = 0; l < lanes; l++) {
        double w = a->weight ? (double)((const T *)a->weight)[n0 + l] : 1;
        if (w != 0) loss += w * losses[l];
        correct += w * (double)right[l];
    }
    job->loss[block] = loss;
    job->correct[block] = correct;
}

/* Each with `which` known when it is compiled; a missing one is an error. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"
static int value_task(void *context, ptrdiff_t block) {
    const value_job *job = context;
    switch (job->a->which) {
    case LOSS_SQUARED: value_rows(job, block, LOSS_SQUARED); break;
    case LOSS_ABSOLUTE: value_rows(job, block, LOSS_ABSOLUTE); break;
    case LOSS_HUBER: value_rows(job, block, LOSS_HUBER); break;
    case LOSS_SIGMOID: value_rows(job, block, LOSS_SIGMOID); break;
    }
    return 0;
}
#pragma GCC diagnostic pop

static int value_losses(value_loss_args *a) {
    size blocks = blocks_of(a->n);
    a->loss = 0;
    a->correct = 0;
    if (!blocks) return 0;
    value_job job = {.a = a, .total = (double)a->n};
    if (a->weight) {
        job.total = 0;
        for (size n = 0; n < a->n; n++) job.total += (double)((const T *)a->weight)[n];
    }
    job.loss = pool_scratch(SCRATCH_CALL, (size_t)blocks * 2 * sizeof(double));
    if (!job.loss) return -1;
    job.correct = job.loss + blocks;
    if (pool_run(value_task, &job, blocks, blocks * a->F * L > PARALLEL_FROM)) return -1;
    for (size b = 0; b < blocks; b++) {
        a->loss += job.loss[b];
        a->correct += job.correct[b];
    }
    double half = a->which == LOSS_SQUARED ? 0.5 : 1;
    a->loss = job.total > 0 ? a->loss * (half * a->scale / job.total) : 0;
    return 0;
}

#endif
