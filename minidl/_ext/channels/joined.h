/* A depthwise convolution and the pointwise one behind it, band by band: what the first makes of some rows is still in
   the thread's cache when the second reads it, and is never written to memory. */
#ifndef MINIDL_CHANNELS_JOINED_H
#define MINIDL_CHANNELS_JOINED_H

#include "conv.h"
#include "depthwise.h"

/* Bytes of what stands between the two, for one band. */
enum { BAND_IN_CACHE = 512 * 1024 };

typedef struct {
    const step_job *depthwise, *pointwise;
} joined_job;

static int joined_task(void *context, ptrdiff_t task) {
    const joined_job *job = context;
    const step_job *pointwise = job->pointwise;
    step_part part = part_of(pointwise, task);
    /* The map between them is one of these rows alone, without a halo, in memory of the thread. */
    program_step first = *job->depthwise->step, second = *pointwise->step;
    map *m = &first.y;
    size blocks = map_blocks(m), rows = part.r1 - part.r0;
    m->step = L, m->pitch = m->W * L, m->plane = rows * m->pitch;
    m->image = m->top = m->bottom = m->left = m->right = 0;
    T *between = pool_scratch(SCRATCH_TASK, (size_t)(blocks * m->plane) * sizeof(T));
    if (!between) return -1;
    m->at = (between - pointwise->arena) - part.r0 * m->pitch;
    second.x = *m;
    step_job made = *job->depthwise, read = *pointwise;
    made.step = &first, read.step = &second;
    for (size block = 0; block < blocks; block++)
        depthwise_rows(&made, (step_part){part.image, block, part.r0, part.r1});
    conv_rows(&read, part, 0, ceil_div(map_blocks(&second.y), second.M), second.w);
    return 0;
}

/* Of the steps `depthwise` and the next. */
static int joined_step(step_job *depthwise) {
    step_job pointwise = *depthwise;
    const program_step *step = pointwise.step = depthwise->step + 1;
    size H = step->y.H, row = map_blocks(&step->x) * step->x.W * VBYTES;
    size tasks = pointwise.threads > 1 ? TASKS_A_THREAD * pointwise.threads : 1;
    size bands = larger(ceil_div(tasks, pointwise.n), ceil_div(H * row, BAND_IN_CACHE));
    pointwise.groups = 1;
    pointwise.rows = larger(2, H / bands / 2 * 2); /* the depthwise tile has pairs of rows */
    pointwise.bands = ceil_div(H, pointwise.rows);
    joined_job job = {depthwise, &pointwise};
    return pool_run(joined_task, &job, pointwise.n * pointwise.bands, pointwise.threads > 1);
}

#endif
