/* Maps out of images, images out of maps, and channels of maps side by side. */
#ifndef MINIDL_CHANNELS_MOVES_H
#define MINIDL_CHANNELS_MOVES_H

#include "function.h"
#include "map.h"

/* A row of channel c, `from` on, to every lanes-th place: scaled and shifted. */
#define ENTER_ROW(type) \
    for (size w = 0; w < m->W; w++) to[w * m->lanes] = (T)((const type *)from)[w] * scale + shift

static int enter_map_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    const map *m = &step->y;
    step_part part = part_of(job, task);
    static const size bytes[3] = {1, sizeof(float), sizeof(double)};
    for (size row = part.r0; row < part.r1; row++) {
        for (size lane = 0; lane < m->lanes; lane++) {
            size c = part.group * m->lanes + lane;
            T *to = map_at(m, job->arena, part.image, part.group, row, 0) + lane;
            if (c >= m->C) {
                for (size w = 0; w < m->W; w++) to[w * m->lanes] = 0;
                continue;
            }
            T scale = step->scale ? ((const T *)step->scale)[c] : 1,
              shift = step->shift ? ((const T *)step->shift)[c] : 0;
            const char *from =
                (const char *)job->in + ((part.image * m->C + c) * m->H + row) * m->W * bytes[step->number];
            if (step->number == 0) ENTER_ROW(uint8_t);
            else if (step->number == 1) ENTER_ROW(float);
            else ENTER_ROW(double);
        }
    }
    clear_halo(m, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

static int leave_map_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const map *m = &job->step->x;
    size c = task % m->C, image = task / m->C, block = c / m->lanes, lane = c % m->lanes;
    T *to = (T *)job->out + task * m->H * m->W;
    for (size row = 0; row < m->H; row++) {
        const T *from = map_at(m, job->arena, image, block, row, 0) + lane;
        for (size w = 0; w < m->W; w++) *to++ = from[w * m->lanes];
    }
    return 0;
}

/* Channels to, ..., to + count - 1 of y from those of x that `from` names. Whole blocks are copied row by row. */
static int channels_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    const map *x = &step->x, *y = &step->y;
    step_part part = part_of(job, task);
    size first = part.group * L, low = larger(first, step->to), high = smaller(first + L, step->to + step->count);
    size start = low < high ? step->from[low - step->to] : 0;
    int whole = start % L == 0 && low == first && (high == first + L || high == y->C);
    for (size c = low; c < high; c++) whole = whole && step->from[c - step->to] == start + c - low;
    for (size row = part.r0; row < part.r1 && low < high; row++) {
        T *to = map_at(y, job->arena, part.image, part.group, row, 0);
        if (whole) {
            const T *from = map_at(x, job->arena, part.image, start / L, row, 0);
            VI mask = lanes_below(high - low);
            for (size w = 0; w < y->W; w++) {
                V v = (V)((VI)load(from + w * L) & mask);
                store(to + w * L, step->add ? load(to + w * L) + v : v);
            }
            continue;
        }
        for (size c = low; c < high; c++) {
            size place = step->from[c - step->to];
            const T *from = map_at(x, job->arena, part.image, place / L, row, 0) + place % L;
            for (size w = 0; w < y->W; w++) {
                T *value = to + w * L + c - first;
                *value = step->add ? *value + from[w * L] : from[w * L];
            }
        }
        for (size lane = high - first; high == y->C && lane < L; lane++)
            for (size w = 0; w < y->W; w++) to[w * L + lane] = 0;
    }
    clear_halo(y, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

/* Zeros, also around them. */
static int clear_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const map *y = &job->step->y;
    step_part part = part_of(job, task);
    for (size row = part.r0; row < part.r1; row++)
        clear(map_at(y, job->arena, part.image, part.group, row, 0), y->W * y->lanes);
    clear_halo(y, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

static int moves_step(step_job *job, pool_task move) {
    deal_blocks(job);
    size work = job->n * job->groups * job->step->y.H * job->step->y.W;
    return run_tasks(job, move, job->n * job->groups * job->bands, work > PARALLEL_FROM / 4);
}

static int leave_step(step_job *job) {
    const map *m = &job->step->x;
    return run_tasks(job, leave_map_task, job->n * m->C, job->n * m->C * m->H * m->W > PARALLEL_FROM);
}

#endif
