/* Optimiser steps over parameters as numpy stores them, several arrays at once, in loops that the compiler vectorises.
   Formulas: minidl/kernels/contract/. */
#ifndef MINIDL_CORE_UPDATE_H
#define MINIDL_CORE_UPDATE_H

#include <math.h>

#include "pool.h"
#include "sizes.h"
#include "vector.h"

enum { UPDATE_CHUNK = 16384 }; /* elements a task */

/* Several arrays are updated as if they stood in one row, each from a multiple of a cache line. */
typedef void (*update_part)(const void *job, size array, size from, size to);

typedef struct {
    update_part part;
    const void *job;
    size arrays;
    const size *counts; /* elements of each */
} update_row;

INLINE size in_row(size count) { return ceil_div(count, 16) * 16; }

static int update_task(void *context, ptrdiff_t task) {
    const update_row *row = context;
    size from = task * UPDATE_CHUNK, to = from + UPDATE_CHUNK;
    for (size i = 0, start = 0; i < row->arrays && start < to; start += in_row(row->counts[i++])) {
        size first = larger(from - start, 0), end = smaller(to - start, row->counts[i]);
        if (first < end) row->part(row->job, i, first, end);
    }
    return 0;
}

static int update_run(update_part part, const void *job, size arrays, const size *counts) {
    update_row row = {.part = part, .job = job, .arrays = arrays, .counts = counts};
    size all = 0;
    for (size i = 0; i < arrays; i++) all += in_row(counts[i]);
    return pool_run(update_task, &row, ceil_div(all, UPDATE_CHUNK), all > 2 * UPDATE_CHUNK);
}

typedef struct {
    void *const *p, *const *grad, *const *velocity; /* velocity NULL: without momentum */
    T lr, momentum, decay, scale;
    int nesterov;
} sgd_job;

static void sgd_part(const void *context, size array, size from, size to) {
    const sgd_job j = *(const sgd_job *)context;
    T *restrict p = j.p[array], *restrict v = j.velocity ? j.velocity[array] : NULL;
    const T *restrict grad = j.grad[array];
    if (!v) {
        for (size i = from; i < to; i++) p[i] -= j.lr * (j.scale * grad[i] + j.decay * p[i]);
    } else if (!j.nesterov) {
        for (size i = from; i < to; i++) {
            v[i] = j.momentum * v[i] + (j.scale * grad[i] + j.decay * p[i]);
            p[i] -= j.lr * v[i];
        }
    } else {
        for (size i = from; i < to; i++) {
            T g = j.scale * grad[i] + j.decay * p[i];
            v[i] = j.momentum * v[i] + g;
            p[i] -= j.lr * (g + j.momentum * v[i]);
        }
    }
}

static int sgd(size arrays, const size *counts, void *const *p, void *const *grad, void *const *velocity, double lr,
               double momentum, double decay, int nesterov, double scale) {
    sgd_job job = {.p = p,
                   .grad = grad,
                   .velocity = velocity,
                   .lr = (T)lr,
                   .momentum = (T)momentum,
                   .decay = (T)decay,
                   .scale = (T)scale,
                   .nesterov = nesterov};
    return update_run(sgd_part, &job, arrays, counts);
}

INLINE T root(T x) { return (T)(IS_FLOAT ? sqrtf((float)x) : sqrt((double)x)); }

typedef struct {
    void *const *p, *const *grad, *const *square; /* square: the running mean of g^2 */
    T lr, rho, eps, decay, scale;
} rmsprop_job;

static void rmsprop_part(const void *context, size array, size from, size to) {
    const rmsprop_job j = *(const rmsprop_job *)context;
    T *restrict p = j.p[array], *restrict s = j.square[array];
    const T *restrict grad = j.grad[array];
    for (size i = from; i < to; i++) {
        T g = j.scale * grad[i] + j.decay * p[i];
        s[i] = j.rho * s[i] + (1 - j.rho) * g * g;
        p[i] -= j.lr * g / (root(s[i]) + j.eps);
    }
}

static int rmsprop(size arrays, const size *counts, void *const *p, void *const *grad, void *const *square, double lr,
                   double rho, double eps, double decay, double scale) {
    rmsprop_job job = {.p = p,
                       .grad = grad,
                       .square = square,
                       .lr = (T)lr,
                       .rho = (T)rho,
                       .eps = (T)eps,
                       .decay = (T)decay,
                       .scale = (T)scale};
    return update_run(rmsprop_part, &job, arrays, counts);
}

typedef struct {
    void *const *p, *const *grad, *const *m, *const *v; /* m, v: the running means of g and g^2 */
    T lr, beta1, beta2, m_factor, v_factor;             /* factors: the bias corrections of the means */
    T eps, coupled, shrink, scale; /* coupled: the decay that goes through the means; shrink: of p, what decay leaves */
} adam_job;

static void adam_part(const void *context, size array, size from, size to) {
    const adam_job j = *(const adam_job *)context;
    T *restrict p = j.p[array], *restrict m = j.m[array], *restrict v = j.v[array];
    const T *restrict grad = j.grad[array];
    for (size i = from; i < to; i++) {
        T g = j.scale * grad[i] + j.coupled * p[i];
        m[i] = j.beta1 * m[i] + (1 - j.beta1) * g;
        v[i] = j.beta2 * v[i] + (1 - j.beta2) * g * g;
        p[i] = j.shrink * p[i] - j.lr * (m[i] * j.m_factor) / (root(v[i] * j.v_factor) + j.eps);
    }
}

static int adam(size arrays, const size *counts, void *const *p, void *const *grad, void *const *m, void *const *v,
                size step, double lr, double beta1, double beta2, double eps, double decay, int decoupled,
                double scale) {
    adam_job job = {.p = p,
                    .m = m,
                    .v = v,
                    .grad = grad,
                    .lr = (T)lr,
                    .beta1 = (T)beta1,
                    .beta2 = (T)beta2,
                    .m_factor = (T)(1 / (1 - pow(beta1, (double)step))),
                    .v_factor = (T)(1 / (1 - pow(beta2, (double)step))),
                    .eps = (T)eps,
                    .coupled = decoupled ? 0 : (T)decay,
                    .shrink = decoupled ? 1 - (T)lr * (T)decay : 1,
                    .scale = (T)scale};
    return update_run(adam_part, &job, arrays, counts);
}

/* a += share * (b - a), for running averages. */
typedef struct {
    void *const *a, *const *b;
    T share;
} blend_job;

static void blend_part(const void *context, size array, size from, size to) {
    const blend_job j = *(const blend_job *)context;
    T *restrict a = j.a[array];
    const T *restrict b = j.b[array];
    for (size i = from; i < to; i++) a[i] += j.share * (b[i] - a[i]);
}

static int blend(size arrays, const size *counts, void *const *a, void *const *b, double share) {
    blend_job job = {.a = a, .b = b, .share = (T)share};
    return update_run(blend_part, &job, arrays, counts);
}

/* Squares are summed in double, in vectors of the width that the instruction set has: GCC takes wider ones apart. */
enum { SQUARES = VBYTES / 8, SUMS = 16 / SQUARES };
typedef double VD __attribute__((vector_size(VBYTES)));
typedef double VDS __attribute__((vector_size(L * sizeof(double))));

typedef struct {
    size count;
    const T *a;
    double *part; /* the sum of each chunk */
} square_job;

static int square_task(void *context, ptrdiff_t task) {
    const square_job *j = context;
    const T *a = j->a;
    size i = task * UPDATE_CHUNK, to = smaller(j->count, i + UPDATE_CHUNK);
    VD sums[SUMS] = {{0}}; /* of every 16th square each, whatever the width */
    for (; i + 16 <= to; i += 16) {
        UNROLL for (int k = 0; k < 16 / L; k++) {
            union {
                VDS all;
                VD part[L / SQUARES];
            } v = {__builtin_convertvector(loadu(a + i + k * L), VDS)};
            UNROLL for (int m = 0; m < L / SQUARES; m++) sums[k * (L / SQUARES) + m] += v.part[m] * v.part[m];
        }
    }
    UNROLL for (int k = 0; k < SUMS / 2; k++) sums[k] += sums[k + SUMS / 2];
    double sum = 0;
    for (; i < to; i++) sum += (double)a[i] * (double)a[i];
    for (int k = 0; k < 8; k++) sum += sums[k / SQUARES][k % SQUARES];
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
