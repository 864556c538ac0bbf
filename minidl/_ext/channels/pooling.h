/* Pooling of maps: the windows' places inside the image, L channels at once. A NaN in a window is its maximum. */
#ifndef MINIDL_CHANNELS_POOLING_H
#define MINIDL_CHANNELS_POOLING_H

#include "../core/window.h"
#include "function.h"
#include "map.h"

INLINE V window_maximum(const map *m, const T *x, const geometry *g, window k) {
    V best = load(x + k.h0 * m->pitch + k.w0 * L);
    for (size h = k.h0; h < k.h1; h += g->DH) {
        for (size w = k.w0; w < k.w1; w += g->DW) {
            V v = load(x + h * m->pitch + w * L);
            best = choose((v <= best) | (best != best), best, v);
        }
    }
    return best;
}

INLINE V window_sum(const map *m, const T *x, window k) {
    V sum = {0}, next = {0};
    for (size h = k.h0; h < k.h1; h++) {
        const T *row = x + h * m->pitch;
        size w = k.w0;
        for (; w + 2 <= k.w1; w += 2) sum += load(row + w * L), next += load(row + (w + 1) * L);
        if (w < k.w1) sum += load(row + w * L);
    }
    return sum + next;
}

static int maxpool_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    const geometry *g = &step->g;
    step_part part = part_of(job, task);
    const T *x = map_at(&step->x, job->arena, part.image, part.group, 0, 0);
    for (size row = part.r0; row < part.r1; row++) {
        T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        for (size column = 0; column < step->y.W; column++)
            store(y + column * L, window_maximum(&step->x, x, g, window_at(g, g->DH, g->DW, row, column)));
    }
    finish_block(job, part.image, part.group, part.r0, part.r1);
    return 0;
}

static int avgpool_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    const geometry *g = &step->g;
    step_part part = part_of(job, task);
    const T *x = map_at(&step->x, job->arena, part.image, part.group, 0, 0);
    int whole = windows_whole(g, &step->mean);
    for (size row = part.r0; row < part.r1; row++) {
        T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        for (size column = 0; column < step->y.W; column++) {
            size count;
            window k = mean_window(g, &step->mean, whole, row, column, &count);
            store(y + column * L, window_sum(&step->x, x, k) / (T)count);
        }
    }
    finish_block(job, part.image, part.group, part.r0, part.r1);
    return 0;
}

static int pooling_step(step_job *job, pool_task pool) {
    const program_step *step = job->step;
    deal_blocks(job);
    size window = step->mean.bins ? step->x.H * step->x.W : step->y.H * step->y.W * step->g.KH * step->g.KW;
    return pool_run(pool, job, job->n * job->groups * job->bands, job->n * job->groups * window > PARALLEL_FROM);
}

#endif
