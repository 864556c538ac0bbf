/* Losses: value and gradient in one pass; empty lanes get a zero gradient and count for nothing. */
#ifndef MINIDL_LANES_LOSS_H
#define MINIDL_LANES_LOSS_H

#include <math.h>

#include "../core/element.h"
#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/statistics.h"
#include "../core/vector.h"

typedef struct {
    softmax_args *a;
    double *loss; /* of each block */
    size *correct;
    T present, absent, weight; /* of the margin loss */
} class_job;

/* The target t[n, k] of every lane, after smoothing. */
INLINE V softmax_target(const softmax_args *a, size n0, size lanes, size k) {
    V t = {0};
    for (size l = 0; l < lanes; l++) {
        T value = a->labels ? (T)(a->labels[n0 + l] == k) : ((const T *)a->target)[(n0 + l) * a->K + k];
        t[l] = value;
    }
    return t * (T)(1 - a->smoothing) + (T)(a->smoothing / (double)a->K);
}

/* A loss over classes: one task a block, whose sums are added in order. */
static int class_loss(pool_task task, class_job *job) {
    softmax_args *a = job->a;
    size blocks = blocks_of(a->n);
    a->loss = 0;
    a->correct = 0;
    if (!blocks) return 0;
    job->loss = pool_scratch(SCRATCH_CALL, (size_t)blocks * (sizeof(double) + sizeof(size)));
    if (!job->loss) return -1;
    job->correct = (size *)(job->loss + blocks);
    if (pool_run(task, job, blocks, blocks * a->K * L > PARALLEL_FROM)) return -1;
    for (size b = 0; b < blocks; b++) {
        a->loss += job->loss[b];
        a->correct += job->correct[b];
    }
    a->loss /= (double)a->n;
    return 0;
}

static int softmax_task(void *context, ptrdiff_t block) {
    const class_job *job = context;
    softmax_args *a = job->a;
    size n0 = block * L, lanes = smaller(L, a->n - n0), K = a->K;
    const T *z = (const T *)a->logits + block * K * L;
    T *dz = (T *)a->dlogits + block * K * L;
    V top = load(z), aim = softmax_target(a, n0, lanes, 0);
    VI top_at = {0}, aim_at = {0};
    for (size k = 1; k < K; k++) {
        V v = load(z + k * L), t = softmax_target(a, n0, lanes, k);
        VI better = v > top, closer = t > aim;
        top = choose(better, v, top);
        top_at = (better & (INT)k) | (~better & top_at);
        aim = choose(closer, t, aim);
        aim_at = (closer & (INT)k) | (~closer & aim_at);
    }
    V sum = {0}, t_sum = {0}, t_z = {0};
    for (size k = 0; k < K; k++) {
        V shifted = load(z + k * L) - top, e = exp_series(shifted, 1), t = softmax_target(a, n0, lanes, k);
        sum += e;
        t_sum += t;
        t_z += (V)((VI)(t * shifted) & (t != 0)); /* 0 * -inf is 0 here */
        store(dz + k * L, e);
    }
    V share = t_sum / (sum * (T)a->n), part = splat((T)(1 / (double)a->n));
    VI mask = lanes_below(lanes);
    for (size k = 0; k < K; k++) {
        V d = load(dz + k * L) * share - softmax_target(a, n0, lanes, k) * part;
        store(dz + k * L, (V)((VI)d & mask));
    }
    double loss = 0;
    size correct = 0;
    for (size l = 0; l < lanes; l++) {
        loss += (double)t_sum[l] * log((double)sum[l]) - (double)t_z[l];
        correct += top_at[l] == aim_at[l] && sum[l] == sum[l]; /* a NaN is never right */
    }
    job->loss[block] = loss;
    job->correct[block] = correct;
    return 0;
}

static int softmax(softmax_args *a) {
    class_job job = {.a = a};
    return class_loss(softmax_task, &job);
}

static int mse(size n, size F, const void *x, const void *target, void *dx, double *loss) {
    double total = 0, inv = n ? 1 / (double)n : 0;
    for (size block = 0; block < blocks_of(n); block++) {
        size lanes = smaller(L, n - block * L);
        for (size f = 0; f < F; f++) {
            size at = (block * F + f) * L;
            V d = {0};
            for (size l = 0; l < lanes; l++) {
                T difference = ((const T *)x)[at + l] - ((const T *)target)[(block * L + l) * F + f];
                d[l] = difference;
                total += (double)difference * (double)difference;
            }
            store((T *)dx + at, d * (T)inv);
        }
    }
    *loss = total * inv / 2;
    return 0;
}

/* t max(0, present - x)^2 + weight (1 - t) max(0, x - absent)^2 */
static int margin_task(void *context, ptrdiff_t block) {
    const class_job *job = context;
    softmax_args *a = job->a;
    size n0 = block * L, lanes = smaller(L, a->n - n0);
    T factor = (T)(2 / (double)a->n);
    VI mask = lanes_below(lanes), top_at = {0}, aim_at = {0};
    V top = load((const T *)a->logits + block * a->K * L), aim = softmax_target(a, n0, lanes, 0), all = {0}, sum = {0};
    for (size k = 0, at = block * a->K * L; k < a->K; k++, at += L) {
        V x = load((const T *)a->logits + at), t = softmax_target(a, n0, lanes, k);
        V below = relu(job->present - x), above = relu(x - job->absent), rest = (1 - t) * job->weight;
        VI better = x > top, closer = t > aim;
        top = choose(better, x, top);
        top_at = (better & (INT)k) | (~better & top_at);
        aim = choose(closer, t, aim);
        aim_at = (closer & (INT)k) | (~closer & aim_at);
        all += x;
        sum += t * below * below + rest * above * above;
        store((T *)a->dlogits + at, (V)((VI)((rest * above - t * below) * factor) & mask));
    }
    double loss = 0;
    size correct = 0;
    for (size l = 0; l < lanes; l++) {
        loss += (double)sum[l];
        correct += top_at[l] == aim_at[l] && all[l] == all[l]; /* a NaN is never right */
    }
    job->loss[block] = loss;
    job->correct[block] = correct;
    return 0;
}

static int margin(softmax_args *a, double present, double absent, double weight) {
    class_job job = {.a = a, .present = (T)present, .absent = (T)absent, .weight = (T)weight};
    return class_loss(margin_task, &job);
}

typedef struct {
    size n, F;
    T factor;
    const T *x, *target;
    T *dx;
    double *loss; /* of each block, before scaling */
} squared_error_job;

static int squared_error_task(void *context, ptrdiff_t block) {
    const squared_error_job *job = context;
    VI mask = lanes_below(job->n - block * L);
    double total = 0;
    size from = block * job->F * L, end = from + job->F * L;
    while (from < end) {
        size to = smaller(end, from + SUM_CHUNK * L);
        V sum = {0};
        for (; from < to; from += L) {
            V d = (V)((VI)(load(job->x + from) - load(job->target + from)) & mask);
            sum += d * d;
            store(job->dx + from, d * job->factor);
        }
        total += sum_wide(sum);
    }
    job->loss[block] = total;
    return 0;
}

static int squared_error(size n, size F, double scale, const void *x, const void *target, void *dx, double *loss) {
    size blocks = blocks_of(n);
    *loss = 0;
    if (!blocks) return 0;
    double *share = pool_scratch(SCRATCH_CALL, (size_t)blocks * sizeof(double));
    if (!share) return -1;
    squared_error_job job = {n, F, (T)(2 * scale / (double)n), x, target, dx, share};
    if (pool_run(squared_error_task, &job, blocks, blocks * F * L > PARALLEL_FROM)) return -1;
    for (size b = 0; b < blocks; b++) *loss += share[b];
    *loss *= scale / (double)n;
    return 0;
}

#endif
