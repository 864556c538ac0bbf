/* Batch normalisation, with the relu and the 2 x 2 pooling that may follow it. A task is one channel of the whole
   batch, so the sums have one order. Variance is summed about the mean. Twin: minidl/kernels/reference/norm.py. */
#ifndef MINIDL_LANES_NORM_H
#define MINIDL_LANES_NORM_H

#include <math.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/statistics.h"
#include "../core/vector.h"
#include "../core/window.h"
#include "source.h"

/* Sum over the batch of (x - mean)^power of one channel, the empty lanes left out. */
static double norm_sum(const T *x, size blocks, size stride, size area, VI last, T mean, int power) {
    double total = 0;
    V m = splat(mean);
    for (size b = 0; b < blocks; b++) {
        VI mask = b == blocks - 1 ? last : ~(VI){0};
        for (size p0 = 0; p0 < area; p0 += SUM_CHUNK) {
            size p1 = smaller(area, p0 + SUM_CHUNK), p = p0;
            V sum[4] = {{0}, {0}, {0}, {0}};
            for (; p + 4 <= p1; p += 4) {
                UNROLL for (int q = 0; q < 4; q++) {
                    V d = load(x + b * stride + (p + q) * L) - m;
                    sum[q] += power == 1 ? d : d * d;
                }
            }
            for (; p < p1; p++) {
                V d = load(x + b * stride + p * L) - m;
                sum[0] += power == 1 ? d : d * d;
            }
            total += sum_wide((V)((VI)((sum[0] + sum[1]) + (sum[2] + sum[3])) & mask));
        }
    }
    return total;
}

static int norm_forward_task(void *context, ptrdiff_t c) {
    const norm_forward_args *a = context;
    size blocks = blocks_of(a->n), area = a->H * a->W, stride = a->C * area * L;
    const T *x = (const T *)a->x + c * area * L;
    T *mean_out = a->mean, *inv_out = a->inv_std, *running_mean = a->running_mean, *running_var = a->running_var;
    if (a->train) {
        double count = (double)(a->n * area), mean = 0, var = 0;
        VI last = lanes_below(a->n - (blocks - 1) * L);
        if (count > 0) {
            mean = norm_sum(x, blocks, stride, area, last, 0, 1) / count;
            var = norm_sum(x, blocks, stride, area, last, (T)mean, 2) / count;
            running_mean[c] = (T)(a->momentum * running_mean[c] + (1 - a->momentum) * mean);
            running_var[c] = (T)(a->momentum * running_var[c] + (1 - a->momentum) * var);
        }
        mean_out[c] = (T)mean;
        inv_out[c] = (T)(1 / sqrt(var + a->eps));
    } else {
        mean_out[c] = running_mean[c];
        inv_out[c] = (T)(1 / sqrt((double)running_var[c] + a->eps));
    }
    V mean = splat(mean_out[c]), scale = splat(((const T *)a->gamma)[c] * inv_out[c]),
      beta = splat(((const T *)a->beta)[c]);
    size half_h = a->H / 2, half_w = a->W / 2;
    for (size b = 0; b < blocks; b++) {
        const T *xb = x + b * stride;
        if (!a->pool) {
            T *y = (T *)a->y + b * stride + c * area * L;
            for (size p = 0; p < area; p++) {
                V v = norm_value(load(xb + p * L), mean, scale, beta);
                store(y + p * L, a->relu ? relu(v) : v);
            }
            continue;
        }
        size at = (b * a->C + c) * half_h * half_w * L;
        for (size h = 0; h < half_h; h++) {
            for (size w = 0; w < half_w; w++, at += L) {
                const T *x0 = xb + (2 * h * a->W + 2 * w) * L, *x1 = x0 + a->W * L;
                V v[4] = {norm_value(load(x0), mean, scale, beta), norm_value(load(x0 + L), mean, scale, beta),
                          norm_value(load(x1), mean, scale, beta), norm_value(load(x1 + L), mean, scale, beta)};
                VI code;
                store((T *)a->y + at, pool_window(v, a->pool, a->relu, &code));
                if (a->code) *(VB *)(a->code + at) = __builtin_convertvector(code, VB);
            }
        }
    }
    return 0;
}

static int norm_forward(const norm_forward_args *a) {
    norm_forward_args job = *a;
    return pool_run(norm_forward_task, &job, a->C, blocks_of(a->n) * a->C * a->H * a->W > PARALLEL_FROM / 4);
}

static int norm_backward_task(void *context, ptrdiff_t c) {
    const norm_backward_args *a = context;
    size blocks = blocks_of(a->n), area = a->H * a->W, stride = a->C * area * L, plane = area * L;
    row_source source = {.x = a->dy, .code = a->code, .pool = a->pool, .C = a->C, .H = a->H, .W = a->W};
    /* The gradient behind relu and pooling, of this channel: made once, used twice. */
    int copies = a->pool || a->relu;
    T *copy = copies ? pool_scratch(SCRATCH_TASK, (size_t)(blocks * plane) * sizeof(T)) : NULL;
    if (copies && !copy) return -1;
    const T *x = (const T *)a->x + c * plane, *dy = (const T *)a->dy + c * plane;
    size dy_stride = copies ? plane : stride;
    T mean = ((const T *)a->mean)[c], inv_std = ((const T *)a->inv_std)[c], gamma = ((const T *)a->gamma)[c];
    V m = splat(mean), scale = splat(gamma * inv_std), beta = splat(((const T *)a->beta)[c]);
    if (a->pool) {
        for (size b = 0; b < blocks; b++)
            for (size h = 0; h < a->H; h++) spread_row(&source, b, c, h, copy + b * plane + h * a->W * L);
    } else if (a->relu) {
        for (size b = 0; b < blocks; b++)
            for (size p = 0; p < plane; p += L) {
                VI positive = norm_value(load(x + b * stride + p), m, scale, beta) > 0;
                store(copy + b * plane + p, (V)((VI)load(dy + b * stride + p) & positive));
            }
    }
    if (copies) dy = copy;
    /* x of an empty lane is masked, so that nothing in it can reach the sums. */
    VI last = lanes_below(a->n - (blocks - 1) * L);
    double sum_dy = 0, sum_dyx = 0;
    for (size b = 0; b < blocks; b++) {
        VI mask = b == blocks - 1 ? last : ~(VI){0};
        for (size p0 = 0; p0 < plane; p0 += SUM_CHUNK * L) {
            size p1 = smaller(plane, p0 + SUM_CHUNK * L), p = p0;
            V s[2] = {{0}, {0}}, sx[2] = {{0}, {0}};
            for (; p + 2 * L <= p1; p += 2 * L) {
                UNROLL for (int q = 0; q < 2; q++) {
                    V d = load(dy + b * dy_stride + p + q * L);
                    s[q] += d;
                    sx[q] += d * (load(x + b * stride + p + q * L) - m);
                }
            }
            if (p < p1) {
                V d = load(dy + b * dy_stride + p);
                s[0] += d;
                sx[0] += d * (load(x + b * stride + p) - m);
            }
            sum_dy += sum_wide((V)((VI)(s[0] + s[1]) & mask));
            sum_dyx += sum_wide((V)((VI)(sx[0] + sx[1]) & mask));
        }
    }
    ((T *)a->dgamma)[c] = (T)(sum_dyx * inv_std);
    ((T *)a->dbeta)[c] = (T)sum_dy;
    if (!a->dx) return 0;
    double count = (double)(a->n * area);
    V mean_dy = splat(a->train ? (T)(sum_dy / count) : 0);
    V slope = splat(a->train ? (T)(sum_dyx * inv_std * inv_std / count) : 0);
    for (size b = 0; b < blocks; b++) {
        VI mask = b == blocks - 1 ? last : ~(VI){0};
        T *dx = (T *)a->dx + b * stride + c * plane;
        for (size p = 0; p < plane; p += L) {
            V d = load(dy + b * dy_stride + p) - mean_dy - (load(x + b * stride + p) - m) * slope;
            store(dx + p, (V)((VI)(scale * d) & mask));
        }
    }
    return 0;
}

static int norm_backward(const norm_backward_args *a) {
    norm_backward_args job = *a;
    return pool_run(norm_backward_task, &job, a->C, blocks_of(a->n) * a->C * a->H * a->W > PARALLEL_FROM / 4);
}

#endif
