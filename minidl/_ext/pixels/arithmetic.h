/* Arithmetic of pixel arrays with broadcasting: a task is a stretch of the result. */
#ifndef MINIDL_PIXELS_ARITHMETIC_H
#define MINIDL_PIXELS_ARITHMETIC_H

#include "../core/arithmetic.h"
#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

enum { STRETCH = 2048 * L }; /* elements a task */

INLINE V neighbours(const T *p, size step) { return step ? loadu(p) : splat(*p); }

INLINE void pixels_arithmetic_run(arithmetic which, const T *a, size a_step, const T *b, size b_step, T *y,
                                  size count) {
    size i = 0;
    for (; i + L <= count; i += L)
        storeu(y + i, arithmetic_value(which, neighbours(a + i * a_step, a_step), neighbours(b + i * b_step, b_step)));
    for (; i < count; i++) y[i] = arithmetic_value(which, splat(a[i * a_step]), splat(b[i * b_step]))[0];
}

static int pixels_arithmetic_task(void *context, ptrdiff_t task) {
    const arithmetic_args *args = context;
    size inner = args->sizes[2], F = image_size(args->sizes), end = smaller(args->n * F, (task + 1) * STRETCH);
    size a_step = args->a.steps[2], b_step = args->b.steps[2];
    for (size at = task * STRETCH, count; at < end; at += count) {
        size image = at / F, row = at % F / inner, i = at % inner, k = row / args->sizes[1], j = row % args->sizes[1];
        count = smaller(inner - i, end - at);
        const T *a = (const T *)args->a.data + operand_offset(&args->a, image, k, j, i, 1);
        const T *b = (const T *)args->b.data + operand_offset(&args->b, image, k, j, i, 1);
        T *y = (T *)args->y + at;
#define CASE(name) \
    case name: pixels_arithmetic_run(name, a, a_step, b, b_step, y, count); break;
        switch (args->which) { ARITHMETICS(CASE) }
#undef CASE
    }
    return 0;
}

static int pixels_arithmetic(const arithmetic_args *args) {
    arithmetic_args job = *args;
    size count = args->n * image_size(args->sizes);
    return pool_run(pixels_arithmetic_task, &job, ceil_div(count, STRETCH), count > PARALLEL_FROM * L);
}

#endif
