/* Each channel with a kernel of its own: weights (blocks, KH, KW, L). Also what scales and shifts channels, 1 x 1. */
#ifndef MINIDL_CHANNELS_DEPTHWISE_H
#define MINIDL_CHANNELS_DEPTHWISE_H

#include "function.h"
#include "map.h"
#include "tile.h"

static int pack_depthwise_task(void *context, ptrdiff_t block) {
    const program_step *step = context;
    const geometry *g = &step->g;
    const weight_order *order = &step->order;
    const T *scale = step->scale;
    T *to = (T *)step->w + block * g->KH * g->KW * L;
    for (size i = 0; i < g->KH; i++) {
        for (size j = 0; j < g->KW; j++) {
            const T *at = (const T *)step->weights + order->at + i * order->row + j * order->column;
            for (size o = block * L; o < (block + 1) * L; o++) {
                T value = o < g->O ? at[o * order->group] : 0;
                *to++ = o < g->O && scale ? value * scale[o] : value;
            }
        }
    }
    return 0;
}

/* Q pixels of a row. */
INLINE void depthwise_tile(const int Q, const program_step *step, const T *w, V bias, const T *x, const T *other,
                           T *y) {
    const geometry *g = &step->g;
    const size step_x = g->SW * L, step_y = step->y.step, step_other = step->other.step;
    V acc[PIXELS];
    UNROLL for (int j = 0; j < Q; j++) acc[j] = bias;
    for (size row = 0; row < g->KH; row++) {
        const T *at = x + row * g->DH * step->x.pitch;
        for (size column = 0; column < g->KW; column++, at += g->DW * L, w += L) {
            V weight = load(w);
            UNROLL for (int j = 0; j < Q; j++) acc[j] += weight * load(at + j * step_x);
        }
    }
    UNROLL for (int j = 0; j < Q; j++) {
        V v = acc[j];
        if (step->add) v += load(other + j * step_other);
        store(y + j * step_y, step->relu ? relu(v) : v);
    }
}

static int depthwise_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    const geometry *g = &step->g;
    step_part part = part_of(job, task);
    size parts = ceil_div(step->y.W, PIXELS);
    const T *w = (const T *)step->w + part.group * g->KH * g->KW * L;
    V bias = load((const T *)step->b + part.group * L);
    for (size row = part.r0; row < part.r1; row++) {
        const T *x = map_at(&step->x, job->arena, part.image, part.group, row * g->SH - g->PH, -g->PW);
        T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        const T *other = step->add ? map_at(&step->other, job->arena, part.image, part.group, row, 0) : y;
        for (size p = 0; p < parts; p++) {
            size start = p * step->y.W / parts, end = (p + 1) * step->y.W / parts;
            const T *from = x + start * g->SW * L;
#define CASE(m, r, q) \
    case q: depthwise_tile(q, step, w, bias, from, other + start * step->other.step, y + start * step->y.step); break;
            switch (end - start) { OF_ONE_ROW(CASE, 1) }
#undef CASE
        }
    }
    finish_block(job, part.image, part.group, part.r0, part.r1);
    return 0;
}

static int depthwise_step(step_job *job) {
    const geometry *g = &job->step->g;
    deal_blocks(job);
    size work = job->n * job->groups * job->step->y.H * job->step->y.W * g->KH * g->KW;
    return run_tasks(job, depthwise_task, job->n * job->groups * job->bands, work > PARALLEL_FROM);
}

#endif
