/* Optimiser steps over plain arrays, in loops that the compiler vectorises. Formulas: minidl/kernels/contract.py. */
#ifndef MINIDL_CORE_UPDATE_H
#define MINIDL_CORE_UPDATE_H

#include <math.h>

#include "pool.h"
#include "sizes.h"
#include "vector.h"

typedef struct {
    size count;
    T *p, *s1, *s2; /* parameter, state */
    const T *grad;
    T lr, c1, c2, decay, scale, eps, m_factor, v_factor; /* factors: the bias corrections of Adam's moments */
    int flag;
} update_job;

enum { UPDATE_CHUNK = 16384 };

static int sgd_task(void *context, ptrdiff_t task) {
    const update_job j = *(const update_job *)context;
    size from = task * UPDATE_CHUNK, to = smaller(j.count, from + UPDATE_CHUNK);
    T *restrict p = j.p, *restrict v = j.s1;
    const T *restrict grad = j.grad;
    if (!v) {
        for (size i = from; i < to; i++) p[i] -= j.lr * (j.scale * grad[i] + j.decay * p[i]);
    } else if (!j.flag) {
        for (size i = from; i < to; i++) {
            v[i] = j.c1 * v[i] + (j.scale * grad[i] + j.decay * p[i]);
            p[i] -= j.lr * v[i];
        }
    } else {
        for (size i = from; i < to; i++) {
            T g = j.scale * grad[i] + j.decay * p[i];
            v[i] = j.c1 * v[i] + g;
            p[i] -= j.lr * (g + j.c1 * v[i]);
        }
    }
    return 0;
}

static int rmsprop_task(void *context, ptrdiff_t task) {
    const update_job j = *(const update_job *)context;
    size from = task * UPDATE_CHUNK, to = smaller(j.count, from + UPDATE_CHUNK);
    T *restrict p = j.p, *restrict s = j.s1;
    const T *restrict grad = j.grad;
    for (size i = from; i < to; i++) {
        T g = j.scale * grad[i] + j.decay * p[i];
        s[i] = j.c1 * s[i] + (1 - j.c1) * g * g;
        p[i] -= j.lr * g / ((T)(IS_FLOAT ? sqrtf((float)s[i]) : sqrt((double)s[i])) + j.eps);
    }
    return 0;
}

static int adam_task(void *context, ptrdiff_t task) {
    const update_job j = *(const update_job *)context;
    size from = task * UPDATE_CHUNK, to = smaller(j.count, from + UPDATE_CHUNK);
    T *restrict p = j.p, *restrict m = j.s1, *restrict v = j.s2;
    const T *restrict grad = j.grad;
    T coupled = j.flag ? 0 : j.decay, shrink = j.flag ? 1 - j.lr * j.decay : 1;
    for (size i = from; i < to; i++) {
        T g = j.scale * grad[i] + coupled * p[i];
        m[i] = j.c1 * m[i] + (1 - j.c1) * g;
        v[i] = j.c2 * v[i] + (1 - j.c2) * g * g;
        T root = (T)(IS_FLOAT ? sqrtf((float)(v[i] * j.v_factor)) : sqrt((double)(v[i] * j.v_factor)));
        p[i] = shrink * p[i] - j.lr * (m[i] * j.m_factor) / (root + j.eps);
    }
    return 0;
}

static int update_run(pool_task task, update_job *job) {
    return pool_run(task, job, ceil_div(job->count, UPDATE_CHUNK), job->count > 2 * UPDATE_CHUNK);
}

static int sgd(size count, void *p, const void *grad, void *velocity, double lr, double momentum, double decay,
               int nesterov, double scale) {
    update_job job = {.count = count,
                      .p = p,
                      .grad = grad,
                      .s1 = velocity,
                      .lr = (T)lr,
                      .c1 = (T)momentum,
                      .decay = (T)decay,
                      .scale = (T)scale,
                      .flag = nesterov};
    return update_run(sgd_task, &job);
}

static int rmsprop(size count, void *p, const void *grad, void *square, double lr, double rho, double eps, double decay,
                   double scale) {
    update_job job = {.count = count,
                      .p = p,
                      .grad = grad,
                      .s1 = square,
                      .lr = (T)lr,
                      .c1 = (T)rho,
                      .eps = (T)eps,
                      .decay = (T)decay,
                      .scale = (T)scale};
    return update_run(rmsprop_task, &job);
}

static int adam(size count, void *p, const void *grad, void *m, void *v, size step, double lr, double beta1,
                double beta2, double eps, double decay, int decoupled, double scale) {
    update_job job = {.count = count,
                      .p = p,
                      .grad = grad,
                      .s1 = m,
                      .s2 = v,
                      .lr = (T)lr,
                      .c1 = (T)beta1,
                      .c2 = (T)beta2,
                      .m_factor = (T)(1 / (1 - pow(beta1, (double)step))),
                      .v_factor = (T)(1 / (1 - pow(beta2, (double)step))),
                      .eps = (T)eps,
                      .decay = (T)decay,
                      .scale = (T)scale,
                      .flag = decoupled};
    return update_run(adam_task, &job);
}

/* a += share * (b - a), for running averages. */
static int blend_task(void *context, ptrdiff_t task) {
    const update_job j = *(const update_job *)context;
    size from = task * UPDATE_CHUNK, to = smaller(j.count, from + UPDATE_CHUNK);
    T *restrict a = j.p;
    const T *restrict b = j.grad;
    for (size i = from; i < to; i++) a[i] += j.c1 * (b[i] - a[i]);
    return 0;
}

static int blend(size count, void *a, const void *b, double share) {
    update_job job = {.count = count, .p = a, .grad = b, .c1 = (T)share};
    return update_run(blend_task, &job);
}

typedef double D8 __attribute__((vector_size(8 * sizeof(double))));
typedef T T8 __attribute__((vector_size(8 * sizeof(T)), aligned(sizeof(T)), may_alias)); /* at any address of a T */

typedef struct {
    size count;
    const T *a;
    double *part; /* the sum of each chunk */
} square_job;

static int square_task(void *context, ptrdiff_t task) {
    const square_job *j = context;
    const T *a = j->a;
    size i = task * UPDATE_CHUNK, to = smaller(j->count, i + UPDATE_CHUNK);
    D8 even = {0}, odd = {0};
    for (; i + 16 <= to; i += 16) {
        D8 low = __builtin_convertvector(*(const T8 *)(a + i), D8);
        D8 high = __builtin_convertvector(*(const T8 *)(a + i + 8), D8);
        even += low * low;
        odd += high * high;
    }
    even += odd;
    double sum = 0;
    for (; i < to; i++) sum += (double)a[i] * (double)a[i];
    for (int k = 0; k < 8; k++) sum += even[k];
    j->part[task] = sum;
    return 0;
}

/* The chunks are the same and are added in the same order for any number of threads. */
static int sum_squares(size count, const void *a, double *sum) {
    size tasks = ceil_div(count, UPDATE_CHUNK);
    *sum = 0;
    if (!tasks) return 0;
    square_job job = {.count = count, .a = a, .part = pool_scratch(SCRATCH_CALL, (size_t)tasks * sizeof(double))};
    if (!job.part) return -1;
    pool_run(square_task, &job, tasks, count > 4 * UPDATE_CHUNK);
    for (size i = 0; i < tasks; i++) *sum += job.part[i];
    return 0;
}

#endif
