/* Softmax and its logarithm over the middle one of an image's three dimensions, see softmax_args. Twin:
   minidl/kernels/reference/reduce.py. */
#ifndef MINIDL_LANES_SOFTMAX_H
#define MINIDL_LANES_SOFTMAX_H

#include <math.h>

#include "../core/arithmetic.h"
#include "../core/functions.h"
#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/statistics.h"
#include "../core/vector.h"

/* Neighbours in the inner dimension that go together: a place further on in the middle one is often a page away. */
enum { STRIP = 8 };

typedef struct {
    V part[STRIP];
    double total[STRIP][L];
} strip_sum;

static void strip_flush(strip_sum *s, size width) {
    for (size i = 0; i < width; i++) {
        UNROLL for (int l = 0; l < L; l++) s->total[i][l] += (double)s->part[i][l];
        s->part[i] = (V){0};
    }
}

INLINE V strip_end(const strip_sum *s, size i) {
    V v;
    UNROLL for (int l = 0; l < L; l++) v[l] = (T)s->total[i][l];
    return v;
}

/* `count` times `width` values, `step` elements apart. */
INLINE void softmax_strip(const T *x, T *y, size count, size step, size width, int log_of_it) {
    V top[STRIP], lost[STRIP];
    strip_sum sum = {0};
    for (size i = 0; i < width; i++) top[i] = load(x + i * L);
    for (size r = 1; r < count; r++) {
        for (size i = 0; i < width; i++) {
            V v = load(x + r * step + i * L);
            top[i] = choose(v > top[i], v, top[i]);
        }
    }
    for (size r = 0; r < count; r++) {
        for (size i = 0; i < width; i++) {
            V e = exponential(load(x + r * step + i * L) - top[i]);
            if (!log_of_it) store(y + r * step + i * L, e);
            sum.part[i] += e;
        }
        if (r % SUM_CHUNK == SUM_CHUNK - 1) strip_flush(&sum, width);
    }
    strip_flush(&sum, width);
    for (size i = 0; i < width; i++) lost[i] = log_of_it ? logarithm(strip_end(&sum, i)) : strip_end(&sum, i);
    for (size r = 0; r < count; r++) {
        for (size i = 0; i < width; i++) {
            size at = r * step + i * L;
            store(y + at, log_of_it ? load(x + at) - top[i] - lost[i] : load(y + at) / lost[i]);
        }
    }
}

INLINE void softmax_strip_back(const T *dy, const T *y, T *dx, size count, size step, size width, int log_of_it,
                               VI mask) {
    strip_sum sum = {0};
    V total[STRIP];
    for (size r = 0; r < count; r++) {
        for (size i = 0; i < width; i++) {
            size at = r * step + i * L;
            sum.part[i] += log_of_it ? load(dy + at) : load(dy + at) * load(y + at);
        }
        if (r % SUM_CHUNK == SUM_CHUNK - 1) strip_flush(&sum, width);
    }
    strip_flush(&sum, width);
    for (size i = 0; i < width; i++) total[i] = strip_end(&sum, i);
    for (size r = 0; r < count; r++) {
        for (size i = 0; i < width; i++) {
            size at = r * step + i * L;
            V d = load(dy + at), v = load(y + at);
            v = log_of_it ? d - exponential(v) * total[i] : v * (d - total[i]);
            store(dx + at, (V)((VI)v & mask));
        }
    }
}

INLINE void softmax_places(const softmax_args *a, size at, size width, VI mask) {
    const T *x = (const T *)a->x + at, *dy = a->dy ? (const T *)a->dy + at : NULL;
    T *y = (T *)a->y + at;
    size count = a->sizes[1], step = a->sizes[2] * L;
    if (!dy && a->logarithm) softmax_strip(x, y, count, step, width, 1);
    else if (!dy) softmax_strip(x, y, count, step, width, 0);
    else if (a->logarithm) softmax_strip_back(dy, x, y, count, step, width, 1, mask);
    else softmax_strip_back(dy, x, y, count, step, width, 0, mask);
}

/* A task is one place of the outer dimension of one block. */
static int softmax_axis_task(void *context, ptrdiff_t task) {
    const softmax_args *a = context;
    size inner = a->sizes[2], at = task * a->sizes[1] * inner * L;
    VI mask = lanes_below(a->n - task / a->sizes[0] * L);
    if (inner == 1) softmax_places(a, at, 1, mask);
    else
        for (size i = 0; i < inner; i += STRIP) softmax_places(a, at + i * L, smaller(STRIP, inner - i), mask);
    return 0;
}

static int softmax_axis(const softmax_args *args) {
    softmax_args job = *args;
    if (image_size(args->sizes) == 0) return 0;
    size values = blocks_of(args->n) * image_size(args->sizes);
    return pool_run(softmax_axis_task, &job, blocks_of(args->n) * args->sizes[0], values > PARALLEL_FROM / 16);
}

#endif
