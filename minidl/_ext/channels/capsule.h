/* Capsules in lanes: an array of I capsules of D values is a map of I channels and one row of D pixels.
   Twin: minidl/kernels/reference/capsule.py. */
#ifndef MINIDL_CHANNELS_CAPSULE_H
#define MINIDL_CHANNELS_CAPSULE_H

#include "../core/capsule.h"
#include "function.h"
#include "map.h"

/* The first vector of capsules, values or rows of values. */
INLINE T *lanes_at(const step_job *job, const map *m, size image, size block, size row) {
    return map_at(m, job->arena, image, block, row, 0);
}

/* Values of L capsules, one after the other, from their places in maps, or added to these or put there; capsule i is
   of type i / (H W) and of pixel i % (H W). */
static void move_capsules(const map *maps, T *first, size block, size I, size D, T *values, int back, int add) {
    size area = maps->H * maps->W;
    for (size lane = 0; lane < L; lane++) {
        size i = block * L + lane, p = i % area, c = i / area * D;
        T *pixel = first + p / maps->W * maps->pitch + p % maps->W * L;
        for (size d = 0; d < D; d++, c++) {
            T *value = values + d * L + lane, *place = pixel + c / L * maps->plane + c % L;
            if (!back) *value = i < I ? *place : 0;
            else if (i < I) *place = add ? *place + *value : *value;
        }
    }
}

/* L capsules of an image. */
static int squash_map_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    int back = step->kind == STEP_SQUASH_BACKWARD;
    const map *row = back ? &step->dy : &step->y;
    size blocks = map_blocks(row), image = task / blocks, block = task % blocks, D = row->W;
    T *x = lanes_at(job, &step->x, image, 0, 0), *capsules = lanes_at(job, row, image, block, 0);
    if (!back) {
        move_capsules(&step->x, x, block, row->C, D, capsules, 0, 0);
        squash(capsules, L, D, capsules);
        clear_halo(row, job->arena, image, block, 0, 1);
        return 0;
    }
    T *slopes = pool_scratch(SCRATCH_TASK, (size_t)D * VBYTES);
    if (!slopes) return -1;
    move_capsules(&step->x, x, block, row->C, D, slopes, 0, 0);
    squash_slope(capsules, slopes, L, D, slopes);
    move_capsules(&step->dx, lanes_at(job, &step->dx, image, 0, 0), block, row->C, D, slopes, 1, step->add_dx);
    return 0;
}

/* Zeros around dx, and in its missing channels. */
static void clear_missing(const step_job *job, const map *dx) {
    size block = map_blocks(dx) - 1, there = dx->C - block * L;
    for (size image = 0; image < job->n; image++) {
        for (size b = 0; b <= block; b++) clear_halo(dx, job->arena, image, b, 0, dx->H);
        for (size row = 0; row < dx->H; row++)
            for (size w = 0; w < dx->W; w++) clear(lanes_at(job, dx, image, block, row) + w * L + there, L - there);
    }
}

static int squash_map_step(step_job *job) {
    const program_step *step = job->step;
    int back = step->kind == STEP_SQUASH_BACKWARD;
    const map *row = back ? &step->dy : &step->y;
    if (back && !step->add_dx) clear_missing(job, &step->dx);
    return run_tasks(job, squash_map_task, job->n * map_blocks(row), job->n * row->C * row->W > PARALLEL_FROM);
}

/* y = |x| of each capsule; back: dx = dy x / y, 0 where that is. */
static int lengths_step(step_job *job) {
    const program_step *step = job->step;
    const map *x = &step->x, *dx = &step->dx;
    int back = step->kind == STEP_LENGTHS_BACKWARD;
    for (size image = 0; image < job->n; image++) {
        for (size block = 0; block < map_blocks(x); block++) {
            const T *v = lanes_at(job, x, image, block, 0);
            T *y = lanes_at(job, &step->y, image, block, 0);
            if (!back) {
                store(y, square_root(square_sum(v, L, x->W)));
                clear_halo(&step->y, job->arena, image, block, 0, 1);
                continue;
            }
            V factor = load(lanes_at(job, &step->dy, image, block, 0)) * inverse_or_zero(load(y));
            T *to = lanes_at(job, dx, image, block, 0);
            for (size e = 0; e < x->W * L; e += L)
                store(to + e, step->add_dx ? load(to + e) + load(v + e) * factor : load(v + e) * factor);
            if (!step->add_dx) clear_halo(dx, job->arena, image, block, 0, 1);
        }
    }
    return 0;
}

#endif
