/* Where the pixels of a map stand, and its halo. */
#ifndef MINIDL_CHANNELS_MAP_H
#define MINIDL_CHANNELS_MAP_H

#include <string.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/program.h"
#include "../core/sizes.h"
#include "../core/vector.h"

/* A step as its tasks see it: (image, group of blocks, band of rows). */
typedef struct {
    const program_step *step;
    T *arena;
    const void *in;
    void *out;
    size images, n, groups, bands, threads; /* n: images that are tasks of their own */
    int by_rows;                            /* whether groups lie innermost, not bands */
} step_job;

typedef struct {
    size image, group, r0, r1;
} step_part;

INLINE T *map_at(const map *m, T *arena, size image, size block, size row, size column) {
    return arena + m->at + image * m->image + block * m->plane + row * m->pitch + column * m->step;
}

INLINE size map_blocks(const map *m) { return ceil_div(m->C, m->lanes); }

/* Bands lie innermost: a thread's neighbouring tasks read the same weights. */
INLINE step_part part_of(const step_job *job, ptrdiff_t task) {
    size band = task % job->bands, image = task / job->bands % job->n, group = task / job->bands / job->n;
    size H = job->step->y.H;
    if (job->by_rows)
        group = task % job->groups, band = task / job->groups % job->bands, image = task / job->groups / job->bands;
    return (step_part){image, group, ceil_div(band * H, job->bands), ceil_div((band + 1) * H, job->bands)};
}

INLINE int run_tasks(step_job *job, pool_task task, size tasks, int parallel) {
    return pool_run(task, job, tasks, parallel && job->threads > 1);
}

/* Enough tasks that threads of unlike speed end together. */
enum { TASKS_A_THREAD = 4 };

/* At most `most` bands; so many, with `others` tasks each, that threads of like speed end together. */
INLINE size even_bands(size most, size others, size threads) {
    return most > threads && others % threads ? most - most % threads : larger(1, most);
}

/* About `bands` bands, of two rows at least. */
INLINE void deal(step_job *job, size bands) {
    job->bands = even_bands(smaller(bands, job->step->y.H / 2), job->n * job->groups, job->threads);
}

/* A task for each block of a band, band after band: a thread finds the rows that it has made itself. */
INLINE void deal_blocks(step_job *job) {
    job->groups = map_blocks(&job->step->y);
    job->by_rows = 1;
    deal(job, job->threads > 1 ? 2 * job->threads : 1);
}

INLINE void clear(T *from, size count) {
    if (count > 0) memset(from, 0, (size_t)count * sizeof(T));
}

/* Zeros around the rows [r0, r1) of a block. */
INLINE void clear_halo(const map *m, T *arena, size image, size block, size r0, size r1) {
    size left = m->left * m->lanes, right = m->right * m->lanes;
    T *first = map_at(m, arena, image, block, 0, 0);
    if (!r0) clear(first - m->top * m->pitch - left, m->top * m->pitch);
    if (left || right) {
        for (size row = r0; row < r1; row++) {
            clear(first + row * m->pitch - left, left);
            clear(first + row * m->pitch + m->W * m->lanes, right);
        }
    }
    if (r1 == m->H) clear(first + m->H * m->pitch - left, m->bottom * m->pitch);
}

#endif
