/* A depthwise convolution and the pointwise one behind it, and perhaps the convolution before it, some rows at a time:
   what one makes is still in the thread's cache when the next reads it, and is never written to memory. */
#ifndef MINIDL_CHANNELS_JOINED_H
#define MINIDL_CHANNELS_JOINED_H

#include "conv.h"
#include "depthwise.h"

/* Bytes of what stands between the convolutions at a time. */
enum { ROWS_IN_CACHE = 512 * 1024 };

typedef struct {
    const step_job *before, *depthwise, *pointwise; /* before: or NULL */
    size at_once;                                   /* rows of the result */
} joined_job;

/* A map becomes one of `rows` rows, its halo at their sides alone, in memory of the thread; elements. */
static size narrow_to_rows(map *m, size rows) {
    m->step = L, m->pitch = (m->left + m->W + m->right) * L, m->plane = rows * m->pitch;
    m->image = m->top = m->bottom = 0;
    return map_blocks(m) * m->plane;
}

/* The first of these rows is `row`. */
INLINE void begin_rows(map *m, const T *memory, const T *arena, size row) {
    m->at = memory - arena + m->left * L - row * m->pitch;
}

/* Rows of x that some rows of y are made of. */
INLINE size rows_read(const geometry *g, size rows) { return (rows - 1) * g->SH + (g->KH - 1) * g->DH + 1; }

/* Rows from `low` to `high` come where rows from `old` to `made` were: those that are in both move, and such as lie
   outside the map are zeros. */
static void slide_rows(map *m, T *memory, size old, size made, size low, size high) {
    size stay = larger(0, made - low);
    for (size block = 0; block < map_blocks(m); block++) {
        T *first = memory + block * m->plane;
        if (stay) memmove(first, first + (low - old) * m->pitch, (size_t)(stay * m->pitch) * sizeof(T));
        for (size row = low + stay; row < high; row++)
            if (row < 0 || row >= m->H) clear(first + (row - low) * m->pitch, m->pitch);
    }
}

static void all_blocks(const step_job *job, size image, size r0, size r1) {
    const program_step *step = job->step;
    if (r0 < r1) conv_rows(job, (step_part){image, 0, r0, r1}, 0, ceil_div(map_blocks(&step->y), step->M), step->w);
}

static int joined_task(void *context, ptrdiff_t task) {
    const joined_job *job = context;
    step_part part = part_of(job->pointwise, task);
    step_job deep = *job->depthwise, last = *job->pointwise, wide = job->before ? *job->before : deep;
    program_step deep_step = *deep.step, last_step = *last.step, wide_step = *wide.step;
    deep.step = &deep_step, last.step = &last_step, wide.step = &wide_step;
    const geometry *g = &deep_step.g;
    map *x = &deep_step.x, *y = &deep_step.y;
    size elements = narrow_to_rows(y, job->at_once), before = 0;
    if (job->before) before = narrow_to_rows(x, rows_read(g, job->at_once));
    T *memory = pool_scratch(SCRATCH_TASK, (size_t)(elements + before) * sizeof(T));
    if (!memory) return -1;
    size old = part.r0 * g->SH - g->PH, made = old;
    for (size row = part.r0; row < part.r1; row += job->at_once) {
        size end = smaller(part.r1, row + job->at_once);
        if (job->before) {
            size low = row * g->SH - g->PH, high = low + rows_read(g, end - row);
            slide_rows(x, memory + elements, old, made, low, high);
            begin_rows(x, memory + elements, deep.arena, low);
            wide_step.y = *x;
            all_blocks(&wide, part.image, larger(0, larger(low, made)), smaller(x->H, high));
            old = low, made = high;
        }
        begin_rows(y, memory, deep.arena, row);
        for (size block = 0; block < map_blocks(y); block++)
            depthwise_rows(&deep, (step_part){part.image, block, row, end});
        last_step.x = *y;
        all_blocks(&last, part.image, row, end);
    }
    return 0;
}

/* Of the next `joined` steps behind this one, too. */
static int joined_step(step_job *job) {
    int before = job->step->kind != STEP_DEPTHWISE;
    step_job depthwise = *job, pointwise = *job;
    depthwise.step += before, pointwise.step += before + 1;
    const map *x = &depthwise.step->x, *y = &depthwise.step->y;
    size row = map_blocks(y) * y->W * VBYTES;
    if (before) row += map_blocks(x) * x->W * depthwise.step->g.SH * VBYTES;
    pointwise.groups = 1;
    /* Each task makes some rows of the map before the depthwise convolution anew: few tasks. */
    size tasks = job->threads > 1 ? (before ? 2 : TASKS_A_THREAD) * job->threads : 1;
    deal(&pointwise, ceil_div(tasks, job->n));
    size most = ceil_div(y->H, pointwise.bands);
    size fit = larger(2, ROWS_IN_CACHE / row / 2 * 2); /* the depthwise tile has pairs of rows */
    joined_job all = {before ? job : NULL, &depthwise, &pointwise, smaller(most, fit)};
    return pool_run(joined_task, &all, job->n * pointwise.bands, job->threads > 1);
}

#endif
