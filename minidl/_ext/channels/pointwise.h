/* Functions of single values, and arithmetic of two maps. */
#ifndef MINIDL_CHANNELS_POINTWISE_H
#define MINIDL_CHANNELS_POINTWISE_H

#include "../core/arithmetic.h"
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

static int pointwise_step(step_job *job, pool_task each) {
    deal_blocks(job);
    size work = job->n * job->groups * job->step->y.H * job->step->y.W;
    return pool_run(each, job, job->n * job->groups * job->bands, work > PARALLEL_FROM / 4);
}

#endif
