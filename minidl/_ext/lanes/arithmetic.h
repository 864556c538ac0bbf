/* Arithmetic of two arrays with broadcasting, see arithmetic_args. Twin: minidl/kernels/reference/arithmetic.py. */
#ifndef MINIDL_LANES_ARITHMETIC_H
#define MINIDL_LANES_ARITHMETIC_H

#include <string.h>

#include "../core/arithmetic.h"
#include "../core/kernels.h"
#include "../core/lane_sum.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

enum { WALK = 2048 }; /* vectors a task */

INLINE V operand_value(const T *p, int fixed) { return fixed ? splat(*p) : load(p); }

/* Of `count` neighbours in the last dimension. */
INLINE void arithmetic_run(const arithmetic_args *args, arithmetic which, arithmetic_part part, const T *a, const T *b,
                           const T *dy, T *y, size count, VI mask) {
    int a_fixed = args->a.fixed, b_fixed = args->b.fixed;
    size a_step = args->a.steps[2] * (a_fixed ? 1 : L), b_step = args->b.steps[2] * (b_fixed ? 1 : L);
    for (size i = 0; i < count; i++) {
        V upstream = part == PART_Y ? (V){0} : load(dy + i * L);
        V v = arithmetic_part_value(which, part, upstream, operand_value(a + i * a_step, a_fixed),
                                    operand_value(b + i * b_step, b_fixed));
        store(y + i * L, (V)((VI)v & mask)); /* empty lanes may divide by zero, and stay finite */
    }
}

/* A task is a stretch of the result, wherever blocks and rows end. */
static int arithmetic_walk_task(void *context, ptrdiff_t task) {
    const arithmetic_args *args = context;
    size inner = args->sizes[2], F = image_size(args->sizes), end = smaller(blocks_of(args->n) * F, (task + 1) * WALK);
    for (size at = task * WALK, count; at < end; at += count) {
        size block = at / F, row = at % F / inner, i = at % inner, k = row / args->sizes[1], j = row % args->sizes[1];
        count = smaller(inner - i, end - at);
        const T *a = (const T *)args->a.data + operand_offset(&args->a, block, k, j, i, L);
        const T *b = (const T *)args->b.data + operand_offset(&args->b, block, k, j, i, L);
        const T *dy = args->part == PART_Y ? NULL : (const T *)args->dy + at * L;
        T *y = (T *)args->y + at * L;
        VI mask = lanes_below(args->n - block * L);
#define CASE(name) \
    case name: \
        if (args->part == PART_Y) arithmetic_run(args, name, PART_Y, a, b, dy, y, count, mask); \
        else if (args->part == PART_A) arithmetic_run(args, name, PART_A, a, b, dy, y, count, mask); \
        else arithmetic_run(args, name, PART_B, a, b, dy, y, count, mask); \
        break;
        switch (args->which) { ARITHMETICS(CASE) }
#undef CASE
    }
    return 0;
}

static int arithmetic_forward(const arithmetic_args *args) {
    arithmetic_args job = *args;
    return pool_run(arithmetic_walk_task, &job, ceil_div(blocks_of(args->n) * image_size(args->sizes), WALK), 1);
}

typedef struct {
    const arithmetic_args *args;
    const operand *of; /* whose gradient it is */
    size each;         /* values of `of` a task, all of one block */
    double *shares;    /* (F, blocks) for a fixed operand */
} arithmetic_sum_job;

/* The places of the result that value `e` of an operand goes to: [low, high) in each dimension. */
INLINE void broadcast_places(const operand *of, const size sizes[3], size e, size low[3], size high[3]) {
    for (int d = 2; d >= 0; d--) {
        size kept = of->steps[d] ? sizes[d] : 1;
        low[d] = of->steps[d] ? e % kept : 0;
        high[d] = of->steps[d] ? low[d] + 1 : sizes[d];
        e /= kept;
    }
}

INLINE void arithmetic_sum(const arithmetic_args *args, arithmetic which, arithmetic_part part, const operand *of,
                           size block, size e, lane_sum *sum) {
    size low[3], high[3];
    int a_fixed = args->a.fixed, b_fixed = args->b.fixed;
    size a_step = args->a.steps[2] * (a_fixed ? 1 : L), b_step = args->b.steps[2] * (b_fixed ? 1 : L);
    broadcast_places(of, args->sizes, e, low, high);
    for (size k = low[0]; k < high[0]; k++) {
        for (size j = low[1]; j < high[1]; j++) {
            const T *a = (const T *)args->a.data + operand_offset(&args->a, block, k, j, low[2], L);
            const T *b = (const T *)args->b.data + operand_offset(&args->b, block, k, j, low[2], L);
            size at = ((block * args->sizes[0] + k) * args->sizes[1] + j) * args->sizes[2];
            const T *dy = (const T *)args->dy + (at + low[2]) * L;
            for (size i = 0; i < high[2] - low[2]; i++)
                lane_sum_add(sum, arithmetic_part_value(which, part, load(dy + i * L),
                                                        operand_value(a + i * a_step, a_fixed),
                                                        operand_value(b + i * b_step, b_fixed)));
        }
    }
}

static int arithmetic_sum_task(void *context, ptrdiff_t task) {
    const arithmetic_sum_job *job = context;
    const arithmetic_args *args = job->args;
    size F = job->of->F, parts = ceil_div(F, job->each), block = task / parts, first = task % parts * job->each;
    VI mask = lanes_below(args->n - block * L);
    for (size e = first; e < smaller(F, first + job->each); e++) {
        lane_sum sum = {0};
#define CASE(name) \
    case name: \
        if (args->part == PART_A) arithmetic_sum(args, name, PART_A, job->of, block, e, &sum); \
        else arithmetic_sum(args, name, PART_B, job->of, block, e, &sum); \
        break;
        switch (args->which) { ARITHMETICS(CASE) }
#undef CASE
        V total = (V)((VI)lane_sum_end(&sum) & mask);
        if (job->shares) job->shares[e * blocks_of(args->n) + block] = sum_wide(total);
        else store((T *)args->y + (block * F + e) * L, total * (T)args->scale);
    }
    return 0;
}

/* The gradient of one operand. What was broadcast takes a sum: within an image in row-major order, then over blocks. */
static int arithmetic_backward(const arithmetic_args *args) {
    arithmetic_args walk = *args;
    const operand *of = args->part == PART_A ? &args->a : &args->b;
    size blocks = blocks_of(args->n), F = image_size(args->sizes);
    if (!of->fixed && of->F == F && args->scale == 1)
        return pool_run(arithmetic_walk_task, &walk, ceil_div(blocks * F, WALK), 1);
    arithmetic_sum_job job = {args, of, larger(1, WALK * of->F / larger(1, F)), NULL};
    if (of->fixed) {
        job.shares = pool_scratch(SCRATCH_CALL, (size_t)larger(1, of->F * blocks) * sizeof(double));
        if (!job.shares) return -1;
    }
    if (pool_run(arithmetic_sum_task, &job, blocks * ceil_div(of->F, job.each), 1)) return -1;
    for (size e = 0; of->fixed && e < of->F; e++) {
        double total = 0;
        for (size block = 0; block < blocks; block++) total += job.shares[e * blocks + block];
        ((T *)args->y)[e] = (T)(total * args->scale);
    }
    return 0;
}

#endif
