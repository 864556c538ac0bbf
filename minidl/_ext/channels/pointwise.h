/* Functions of single values, and arithmetic of two maps. */
#ifndef MINIDL_CHANNELS_POINTWISE_H
#define MINIDL_CHANNELS_POINTWISE_H

#include "../core/arithmetic.h"
#include "../core/statistics.h"
#include "function.h"
#include "map.h"

static int element_step_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    step_part part = part_of(job, task);
    for (size row = part.r0; row < part.r1; row++) {
        const T *x = map_at(&step->x, job->arena, part.image, part.group, row, 0);
        T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        act_on(step, x, y, step->y.W, lanes_of(&step->y, part.group));
    }
    clear_halo(&step->y, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

/* dx of dy and y, or of the forward's x where element_slope reads that. */
static int slope_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    step_part part = part_of(job, task);
    VI mask = lanes_of(&step->dx, part.group);
    T p = (T)step->p, q = (T)step->q;
    int add = step->add_dx;
    for (size row = part.r0; row < part.r1; row++) {
        const T *dy = map_at(&step->dy, job->arena, part.image, part.group, row, 0);
        const T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        T *dx = map_at(&step->dx, job->arena, part.image, part.group, row, 0);
#define CASE(name) \
    case name: \
        for (size i = 0; i < step->dx.W; i++) { \
            V d = (V)((VI)element_slope(name, load(dy + i * L), load(y + i * L), p, q) & mask); \
            store(dx + i * L, add ? load(dx + i * L) + d : d); \
        } \
        break;
        switch (step->which) { ELEMENTS(CASE) }
#undef CASE
    }
    if (!add) clear_halo(&step->dx, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

/* From pixel to pixel of a map that is as large as y, or has one pixel. */
INLINE size step_in(const map *m) { return m->W > 1 ? L : 0; }

static int arithmetic_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    step_part part = part_of(job, task);
    size across = step_in(&step->x), along = step_in(&step->other);
    VI mask = lanes_of(&step->y, part.group);
    for (size row = part.r0; row < part.r1; row++) {
        const T *a = map_at(&step->x, job->arena, part.image, part.group, step->x.H > 1 ? row : 0, 0);
        const T *b = map_at(&step->other, job->arena, part.image, part.group, step->other.H > 1 ? row : 0, 0);
        T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
#define CASE(sign) \
    case sign: \
        for (size i = 0; i < step->y.W; i++) { \
            V v = arithmetic_value(sign, load(a + i * across), load(b + i * along)); \
            v = (V)((VI)v & mask); \
            store(y + i * L, step->relu ? relu(v) : v); \
        } \
        break;
        switch (step->sign) {
            CASE(ARITHMETIC_ADD)
            CASE(ARITHMETIC_SUB)
            CASE(ARITHMETIC_MUL)
            CASE(ARITHMETIC_DIV)
            CASE(ARITHMETIC_PRELU)
        }
#undef CASE
    }
    finish_block(job, part.image, part.group, part.r0, part.r1);
    return 0;
}

/* Gradients of a product of maps of one size. All is read before it is written, for dx may stand where dy does. */
static int mul_back_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    step_part part = part_of(job, task);
    int add_dx = step->add_dx, add_dother = step->add_dother;
    for (size row = part.r0; row < part.r1; row++) {
        const T *a = map_at(&step->x, job->arena, part.image, part.group, row, 0);
        const T *b = map_at(&step->other, job->arena, part.image, part.group, row, 0);
        const T *dy = map_at(&step->dy, job->arena, part.image, part.group, row, 0);
        T *da = map_at(&step->dx, job->arena, part.image, part.group, row, 0);
        T *db = map_at(&step->dother, job->arena, part.image, part.group, row, 0);
        for (size i = 0; i < step->y.W; i++) {
            V d = load(dy + i * L), of_a = d * load(b + i * L), of_b = d * load(a + i * L);
            store(da + i * L, add_dx ? load(da + i * L) + of_a : of_a);
            store(db + i * L, add_dother ? load(db + i * L) + of_b : of_b);
        }
    }
    if (!add_dx) clear_halo(&step->dx, job->arena, part.image, part.group, part.r0, part.r1);
    if (!add_dother) clear_halo(&step->dother, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

/* One vector of da, and what it adds to db. */
INLINE V mul_back(const T *a, V b, const T *dy, T *da, size w, int add) {
    V d = load(dy + w * L), share = d * load(a + w * L);
    store(da + w * L, add ? load(da + w * L) + d * b : d * b);
    return share;
}

/* b has one pixel: its gradient is a sum over all, of rows in T and then in double. */
static int mul_sum_back_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    size blocks = map_blocks(&step->x), image = task / blocks, block = task % blocks, W = step->x.W;
    V b = load(map_at(&step->other, job->arena, image, block, 0, 0));
    wide_sum total = {{{0}}};
    int add = step->add_dx;
    for (size row = 0; row < step->x.H; row++) {
        const T *a = map_at(&step->x, job->arena, image, block, row, 0);
        const T *dy = map_at(&step->dy, job->arena, image, block, row, 0);
        T *da = map_at(&step->dx, job->arena, image, block, row, 0);
        V sum[4] = {{0}};
        size w = 0;
        for (; w + 4 <= W; w += 4) {
            UNROLL for (int q = 0; q < 4; q++) sum[q] += mul_back(a, b, dy, da, w + q, add);
        }
        UNROLL for (int q = 0; q < 3; q++) {
            if (w + q < W) sum[q] += mul_back(a, b, dy, da, w + q, add);
        }
        wide_sum more = widened(sum_of_four(sum));
        UNROLL for (int i = 0; i < WIDE; i++) total.part[i] += more.part[i];
    }
    T *db = map_at(&step->dother, job->arena, image, block, 0, 0);
    V of_b;
    UNROLL for (int i = 0; i < L; i++) of_b[i] = (T)total.lane[i];
    store(db, step->add_dother ? load(db) + of_b : of_b);
    if (!add) clear_halo(&step->dx, job->arena, image, block, 0, step->dx.H);
    if (!step->add_dother) clear_halo(&step->dother, job->arena, image, block, 0, 1);
    return 0;
}

static int pointwise_step(step_job *job, pool_task each) {
    deal_blocks(job);
    size work = job->n * job->groups * job->step->y.H * job->step->y.W;
    return run_tasks(job, each, job->n * job->groups * job->bands, work > PARALLEL_FROM / 4);
}

static int mul_back_step(step_job *job) {
    const map *a = &job->step->x, *b = &job->step->other;
    if (b->H == a->H && b->W == a->W) return pointwise_step(job, mul_back_task);
    size tasks = job->n * map_blocks(a);
    return run_tasks(job, mul_sum_back_task, tasks, tasks * a->H * a->W > PARALLEL_FROM / 4);
}

#endif
