/* Losses of class scores: value and gradient in one pass; empty lanes get a zero gradient and count for nothing. */
#ifndef MINIDL_LANES_LOSS_H
#define MINIDL_LANES_LOSS_H

#include <math.h>

#include "../core/element.h"
#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

/* The weights of a block's rows divided by `total`, 0 in empty lanes: each row's share in the mean, times `factor`. */
INLINE V row_shares(const void *weight, double factor, double total, size n0, size lanes) {
    V share = {0};
    if (total <= 0) return share;
    if (!weight) return splat((T)(factor / total));
    for (size l = 0; l < lanes; l++) {
        T value = (T)((double)((const T *)weight)[n0 + l] * (factor / total));
        share[l] = value;
    }
    return share;
}

typedef struct {
    class_loss_args *a;
    double total;           /* that the sum is divided by */
    double *loss, *correct; /* of each block */
    T present, absent, rest;
} class_job;

INLINE V raw_target(const class_loss_args *a, size n0, size lanes, size k) {
    V t = {0};
    for (size l = 0; l < lanes; l++) {
        T value = a->labels ? (T)(a->labels[n0 + l] == k) : ((const T *)a->target)[(n0 + l) * a->K + k];
        t[l] = value;
    }
    return t;
}

/* The target t[n, k] of every lane, smoothed and with the weight of its class. */
INLINE V softmax_target(const class_loss_args *a, size n0, size lanes, size k) {
    V t = raw_target(a, n0, lanes, k) * (T)(1 - a->smoothing) + (T)(a->smoothing / (double)a->K);
    return a->class_weight ? t * ((const T *)a->class_weight)[k] : t;
}

/* Where the first maxima of scores and targets stand, class by class; a NaN among the scores is never right. */
typedef struct {
    V top, aim;
    VI top_at, aim_at, bad;
} hit;

INLINE hit first_class(V score, V target) { return (hit){score, target, (VI){0}, (VI){0}, score != score}; }

INLINE void next_class(hit *h, size k, V score, V target) {
    VI better = score > h->top, closer = target > h->aim;
    h->top = choose(better, score, h->top);
    h->top_at = (better & (INT)k) | (~better & h->top_at);
    h->aim = choose(closer, target, h->aim);
    h->aim_at = (closer & (INT)k) | (~closer & h->aim_at);
    h->bad |= score != score;
}

/* Add a block's rows to its sums: each loss, and each right answer, times its weight; a weight of 0 counts nothing. */
INLINE void add_rows(const class_job *job, size block, size lanes, const hit *h, const double *losses) {
    const T *weight = job->a->weight;
    double loss = 0, correct = 0;
    for (size l = 0; l < lanes; l++) {
        double w = weight ? (double)weight[block * L + l] : 1;
        if (w != 0) loss += w * losses[l];
        if (h->top_at[l] == h->aim_at[l] && !h->bad[l]) correct += w;
    }
    job->loss[block] = loss;
    job->correct[block] = correct;
}

/* What the sum of the rows' losses is divided by: their number, or the sum of their weights and their labels'. */
static double class_total(const class_loss_args *a) {
    const T *weight = a->weight, *factor = a->labels ? a->class_weight : NULL;
    double total = 0;
    if (!weight && !factor) return (double)a->n;
    for (size n = 0; n < a->n; n++)
        total += (weight ? (double)weight[n] : 1) * (factor ? (double)factor[a->labels[n]] : 1);
    return total;
}

/* A loss over classes: one task a block, whose sums are added in order. */
static int class_loss(pool_task task, class_job *job) {
    class_loss_args *a = job->a;
    size blocks = blocks_of(a->n);
    a->loss = 0;
    a->correct = 0;
    if (!blocks) return 0;
    job->total = class_total(a);
    job->loss = pool_scratch(SCRATCH_CALL, (size_t)blocks * 2 * sizeof(double));
    if (!job->loss) return -1;
    job->correct = job->loss + blocks;
    if (pool_run(task, job, blocks, blocks * a->K * L > PARALLEL_FROM)) return -1;
    for (size b = 0; b < blocks; b++) {
        a->loss += job->loss[b];
        a->correct += job->correct[b];
    }
    a->loss = job->total > 0 ? a->loss / job->total : 0;
    return 0;
}

static int softmax_task(void *context, ptrdiff_t block) {
    const class_job *job = context;
    class_loss_args *a = job->a;
    size n0 = block * L, lanes = smaller(L, a->n - n0), K = a->K;
    const T *z = (const T *)a->logits + block * K * L;
    T *dz = (T *)a->dlogits + block * K * L;
    hit h = first_class(load(z), raw_target(a, n0, lanes, 0));
    for (size k = 1; k < K; k++) next_class(&h, k, load(z + k * L), raw_target(a, n0, lanes, k));
    V sum = {0}, t_sum = {0}, t_z = {0};
    for (size k = 0; k < K; k++) {
        V shifted = load(z + k * L) - h.top, e = exp_series(shifted, 1), t = softmax_target(a, n0, lanes, k);
        sum += e;
        t_sum += t;
        t_z += (V)((VI)(t * shifted) & (t != 0)); /* 0 * -inf is 0 here */
        store(dz + k * L, e);
    }
    V part = row_shares(a->weight, 1, job->total, n0, lanes);
    V share = a->weight || a->class_weight ? t_sum * part / sum : t_sum / (sum * (T)a->n);
    VI mask = lanes_below(lanes) & (part != 0);
    for (size k = 0; k < K; k++) {
        V d = load(dz + k * L) * share - softmax_target(a, n0, lanes, k) * part;
        store(dz + k * L, (V)((VI)d & mask));
    }
    double losses[L] = {0};
    for (size l = 0; l < lanes; l++) losses[l] = (double)t_sum[l] * log((double)sum[l]) - (double)t_z[l];
    add_rows(job, block, lanes, &h, losses);
    return 0;
}

static int softmax(class_loss_args *a) {
    class_job job = {.a = a};
    return class_loss(softmax_task, &job);
}

/* t max(0, present - x)^2 + rest (1 - t) max(0, x - absent)^2 */
static int margin_task(void *context, ptrdiff_t block) {
    const class_job *job = context;
    class_loss_args *a = job->a;
    size n0 = block * L, lanes = smaller(L, a->n - n0);
    const T *lengths = (const T *)a->logits + block * a->K * L;
    V factor = row_shares(a->weight, 2, job->total, n0, lanes), sum = {0};
    VI mask = lanes_below(lanes) & (factor != 0);
    hit h = first_class(load(lengths), raw_target(a, n0, lanes, 0));
    for (size k = 0; k < a->K; k++) {
        V x = load(lengths + k * L), t = raw_target(a, n0, lanes, k);
        V below = relu(job->present - x), above = relu(x - job->absent), rest = (1 - t) * job->rest;
        if (k) next_class(&h, k, x, t);
        sum += t * below * below + rest * above * above;
        store((T *)a->dlogits + (block * a->K + k) * L, (V)((VI)((rest * above - t * below) * factor) & mask));
    }
    double losses[L];
    for (size l = 0; l < L; l++) losses[l] = (double)sum[l];
    add_rows(job, block, lanes, &h, losses);
    return 0;
}

static int margin(class_loss_args *a, double present, double absent, double rest) {
    class_job job = {.a = a, .present = (T)present, .absent = (T)absent, .rest = (T)rest};
    return class_loss(margin_task, &job);
}

#endif
