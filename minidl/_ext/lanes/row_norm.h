/* Group and layer normalisation: mean and variance of a row of an image's values, see row_norm_forward_args. Each lane
   has statistics of its own, so nothing is summed across lanes but the gradients of gamma and beta. Twin:
   minidl/kernels/reference/row_norm.py. */
#ifndef MINIDL_LANES_ROW_NORM_H
#define MINIDL_LANES_ROW_NORM_H

#include <math.h>
#include <string.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/statistics.h"
#include "../core/vector.h"

/* total += v, lane by lane. */
INLINE void add_lanes(double total[L], V v) { UNROLL for (int l = 0; l < L; l++) total[l] += (double)v[l]; }

/* total = sum over a row's `count` vectors of (x - mean)^power. */
static void row_sums(const T *x, size count, V mean, int power, double total[L]) {
    memset(total, 0, L * sizeof(double));
    for (size p0 = 0; p0 < count; p0 += SUM_CHUNK) {
        size p1 = smaller(count, p0 + SUM_CHUNK), p = p0;
        V sum[4] = {{0}, {0}, {0}, {0}};
        for (; p + 4 <= p1; p += 4) {
            UNROLL for (int q = 0; q < 4; q++) {
                V d = load(x + (p + q) * L) - mean;
                sum[q] += power == 1 ? d : d * d;
            }
        }
        for (; p < p1; p++) {
            V d = load(x + p * L) - mean;
            sum[0] += power == 1 ? d : d * d;
        }
        add_lanes(total, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
}

/* A task is one row of a block. */
static int row_norm_forward_task(void *context, ptrdiff_t task) {
    const row_norm_forward_args *a = context;
    size K = a->F / a->R, runs = K / a->area, first = task % a->R * runs % a->P;
    const T *gamma = (const T *)a->gamma + first, *beta = (const T *)a->beta + first;
    const T *x = (const T *)a->x + task * K * L;
    T *y = (T *)a->y + task * K * L;
    double total[L];
    V mean, inv_std;
    row_sums(x, K, (V){0}, 1, total);
    UNROLL for (int l = 0; l < L; l++) mean[l] = (T)(total[l] / (double)K);
    row_sums(x, K, mean, 2, total);
    UNROLL for (int l = 0; l < L; l++) inv_std[l] = (T)(1 / sqrt(total[l] / (double)K + a->eps));
    store((T *)a->mean + task * L, mean);
    store((T *)a->inv_std + task * L, inv_std);
    for (size i = 0; i < runs; i++) {
        V scale = gamma[i] * inv_std, shift = splat(beta[i]);
        for (size p = 0; p < a->area; p++, x += L, y += L) store(y, norm_value(load(x), mean, scale, shift));
    }
    return 0;
}

static int row_norm_forward(const row_norm_forward_args *a) {
    row_norm_forward_args job = *a;
    return pool_run(row_norm_forward_task, &job, blocks_of(a->n) * a->R, blocks_of(a->n) * a->F > PARALLEL_FROM / 4);
}

/* dx of one row of a block: inv_std (g - mean of g - (x - mean) inv_std^2 (mean of g (x - mean))), g = dy gamma. */
static int row_norm_dx_task(void *context, ptrdiff_t task) {
    const row_norm_backward_args *a = context;
    size K = a->F / a->R, runs = K / a->area, at = task * K * L, held = 0;
    const T *x = (const T *)a->x + at, *dy = (const T *)a->dy + at;
    const T *gamma = (const T *)a->gamma + task % a->R * runs % a->P;
    T *dx = (T *)a->dx + at;
    V mean = load((const T *)a->mean + task * L), inv_std = load((const T *)a->inv_std + task * L);
    V sum = {0}, sum_x = {0};
    double total[L] = {0}, total_x[L] = {0};
    for (size i = 0; i < runs; i++) {
        V scale = splat(gamma[i]);
        for (size p = i * a->area; p < (i + 1) * a->area; p++) {
            V g = load(dy + p * L) * scale;
            sum += g;
            sum_x += g * (load(x + p * L) - mean);
            if (++held < SUM_CHUNK) continue;
            add_lanes(total, sum);
            add_lanes(total_x, sum_x);
            sum = sum_x = (V){0};
            held = 0;
        }
    }
    add_lanes(total, sum);
    add_lanes(total_x, sum_x);
    V mean_g, slope;
    UNROLL for (int l = 0; l < L; l++) {
        mean_g[l] = (T)(total[l] / (double)K);
        slope[l] = (T)(total_x[l] / (double)K);
    }
    slope *= inv_std * inv_std;
    VI mask = lanes_below(a->n - task / a->R * L);
    for (size i = 0; i < runs; i++) {
        V scale = splat(gamma[i]);
        for (size p = i * a->area; p < (i + 1) * a->area; p++) {
            V d = load(dy + p * L) * scale - mean_g - (load(x + p * L) - mean) * slope;
            store(dx + p * L, (V)((VI)(inv_std * d) & mask));
        }
    }
    return 0;
}

enum { PARAMETER_VALUES = 1024 }; /* vectors of dy that a task of parameter gradients reads, or one parameter's */

typedef struct {
    const row_norm_backward_args *a;
    size each; /* parameters a task */
} row_norm_parameters_job;

/* dgamma and dbeta of some parameters, each summed over the batch in one order. */
static int row_norm_parameters_task(void *context, ptrdiff_t task) {
    const row_norm_parameters_job *job = context;
    const row_norm_backward_args *a = job->a;
    size blocks = blocks_of(a->n), all_runs = a->F / a->area, runs = all_runs / a->R;
    VI last = lanes_below(a->n - (blocks - 1) * L);
    for (size c = task * job->each; c < smaller(a->P, (task + 1) * job->each); c++) {
        double dgamma = 0, dbeta = 0;
        V sum = {0}, sum_x = {0};
        size held = 0;
        for (size b = 0; b < blocks; b++) {
            VI mask = b == blocks - 1 ? last : ~(VI){0};
            for (size run = c; run < all_runs; run += a->P) {
                size row = (b * a->R + run / runs) * L, at = (b * all_runs + run) * a->area * L;
                V mean = load((const T *)a->mean + row), inv_std = load((const T *)a->inv_std + row);
                for (size p = at; p < at + a->area * L; p += L) {
                    V d = (V)((VI)load((const T *)a->dy + p) & mask);
                    V xhat = (V)((VI)((load((const T *)a->x + p) - mean) * inv_std) & mask);
                    sum += d;
                    sum_x += d * xhat;
                    if (++held < SUM_CHUNK) continue;
                    dbeta += (double)sum_vector(sum);
                    dgamma += (double)sum_vector(sum_x);
                    sum = sum_x = (V){0};
                    held = 0;
                }
            }
        }
        ((T *)a->dbeta)[c] = (T)(dbeta + (double)sum_vector(sum));
        ((T *)a->dgamma)[c] = (T)(dgamma + (double)sum_vector(sum_x));
    }
    return 0;
}

static int row_norm_backward(const row_norm_backward_args *a) {
    row_norm_backward_args args = *a;
    size blocks = blocks_of(a->n), values = larger(1, blocks * a->F / a->P);
    row_norm_parameters_job job = {a, larger(1, PARAMETER_VALUES / values)};
    int parallel = blocks * a->F > PARALLEL_FROM / 4;
    if (pool_run(row_norm_parameters_task, &job, ceil_div(a->P, job.each), parallel)) return -1;
    return pool_run(row_norm_dx_task, &args, blocks * a->R, parallel);
}

#endif
