/* The function at a step's end, on what its task has just written. */
#ifndef MINIDL_CHANNELS_FUNCTION_H
#define MINIDL_CHANNELS_FUNCTION_H

#include "../core/element.h"
#include "map.h"

/* In place or from x to y; `mask` has the lanes with channels. */
static void act_on(const program_step *step, const T *x, T *y, size vectors, VI mask) {
    T p = (T)step->p, q = (T)step->q;
#define CASE(name) \
    case name: \
        for (size i = 0; i < vectors; i++) \
            store(y + i * L, (V)((VI)element_value(name, load(x + i * L), p, q) & mask)); \
        break;
    switch (step->which) { ELEMENTS(CASE) }
#undef CASE
}

/* All lanes, or those that channels of this block are in. */
INLINE VI lanes_of(const map *m, size block) { return lanes_below(smaller(L, m->C - block * L)); }

/* Whether the function is relu up to q, which a tile computes itself. */
INLINE int capped_in_tile(const program_step *step) {
    int tiles = step->kind == STEP_CONV || step->kind == STEP_DEPTHWISE || step->kind == STEP_GROUPED;
    int bounds = step->which == ELEMENT_CLIP || step->which == ELEMENT_HARD_TANH;
    return tiles && step->acts && bounds && step->p == 0 && step->q >= 0;
}

/* Whether a tile's sums go through relu, also as a part of that function. */
INLINE int rectified_in_tile(const program_step *step) { return step->relu || capped_in_tile(step); }

/* The end of a task: the function of its step on rows of y, and the halo around them. */
INLINE void finish_block(const step_job *job, size image, size block, size r0, size r1) {
    const program_step *step = job->step;
    int acts = step->acts && !capped_in_tile(step);
    for (size row = r0; acts && row < r1; row++) {
        T *y = map_at(&step->y, job->arena, image, block, row, 0);
        act_on(step, y, y, step->y.W, lanes_of(&step->y, block));
    }
    clear_halo(&step->y, job->arena, image, block, r0, r1);
}

#endif
