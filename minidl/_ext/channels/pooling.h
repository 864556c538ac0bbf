/* Pooling of maps and back: the windows' places inside the image, L channels at once. A NaN in a window is its maximum.
   Twin: minidl/kernels/reference/pooling.py. */
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

/* Row by row: one sum over all pixels of a large window would lose digits. */
INLINE V window_sum(const map *m, const T *x, window k) {
    V all = {0};
    for (size h = k.h0; h < k.h1; h++) {
        const T *row = x + h * m->pitch;
        V sum = {0}, next = {0};
        size w = k.w0;
        for (; w + 2 <= k.w1; w += 2) sum += load(row + w * L), next += load(row + (w + 1) * L);
        if (w < k.w1) sum += load(row + w * L);
        all += sum + next;
    }
    return all;
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

/* ---- back: a task has the rows of dx from where its first window begins to where the next task's does -------------- */

typedef struct {
    size r0, r1, first; /* rows of dx, and the first window that reaches into them */
    int add;            /* to what stands there: another window may have been there before */
} pool_rows;

INLINE size window_start(const program_step *step, size row) {
    const geometry *g = &step->g;
    if (row == 0) return 0;
    if (row == g->OH) return g->H;
    size start = step->mean.bins ? row * g->H / g->OH : row * g->SH - g->PH;
    return smaller(larger(start, 0), g->H);
}

INLINE size window_end(const program_step *step, size row) {
    const geometry *g = &step->g;
    return step->mean.bins ? ceil_div((row + 1) * g->H, g->OH) : row * g->SH - g->PH + (g->KH - 1) * g->DH + 1;
}

/* Along one axis of n places: whether windows share some, and whether each place is in one. */
INLINE int windows_share(size count, size K, size stride, size dilation) {
    return count > 1 && (K - 1) * dilation + 1 > stride;
}

INLINE int windows_cover(size n, size count, size K, size stride, size padding, size dilation) {
    return dilation == 1 && (count == 1 || K >= stride) && (count - 1) * stride - padding + K >= n;
}

/* The rows of a task, with zeros in them where windows do not fill them. */
static pool_rows start_rows(const step_job *job, step_part part) {
    const program_step *step = job->step;
    const geometry *g = &step->g;
    int share, cover = 1;
    if (step->mean.bins) share = g->H % g->OH || g->W % g->OW;
    else {
        share = windows_share(g->OH, g->KH, g->SH, g->DH) || windows_share(g->OW, g->KW, g->SW, g->DW);
        cover = windows_cover(g->H, g->OH, g->KH, g->SH, g->PH, g->DH) &&
                windows_cover(g->W, g->OW, g->KW, g->SW, g->PW, g->DW);
    }
    pool_rows rows = {window_start(step, part.r0), window_start(step, part.r1), part.r0, step->add_dx || share};
    if (rows.r0 >= rows.r1) return rows;
    while (rows.first > 0 && window_end(step, rows.first - 1) > rows.r0) rows.first--;
    if (step->add_dx) return rows;
    for (size row = rows.r0; (share || !cover) && row < rows.r1; row++)
        clear(map_at(&step->dx, job->arena, part.image, part.group, row, 0), g->W * L);
    clear_halo(&step->dx, job->arena, part.image, part.group, rows.r0, rows.r1);
    return rows;
}

INLINE void give(T *dx, V d, int add) { store(dx, add ? load(dx) + d : d); }

/* The first place of the maximum y takes dy. A NaN in y is the first NaN. */
INLINE void maxpool_back_rows(const step_job *job, step_part part, pool_rows rows, size DH, size DW, int add) {
    const program_step *step = job->step;
    const geometry g = step->g;
    const T *x = map_at(&step->x, job->arena, part.image, part.group, 0, 0);
    T *dx = map_at(&step->dx, job->arena, part.image, part.group, 0, 0);
    size x_pitch = step->x.pitch, dx_pitch = step->dx.pitch;
    for (size row = rows.first; row < part.r1; row++) {
        const T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        const T *dy = map_at(&step->dy, job->arena, part.image, part.group, row, 0);
        window high = window_at(&g, DH, DW, row, 0);
        size h1 = smaller(high.h1, rows.r1);
        for (size column = 0; column < g.OW; column++) {
            window k = window_at(&g, DH, DW, row, column);
            V most = load(y + column * L);
            VI d = (VI)load(dy + column * L); /* 0 once it is given */
            for (size h = high.h0; h < h1; h += DH) {
                for (size w = k.w0; w < k.w1; w += DW) {
                    V v = load(x + h * x_pitch + w * L);
                    VI here = (v == most) | (v != v);
                    if (h >= rows.r0) give(dx + h * dx_pitch + w * L, (V)(d & here), add);
                    d &= ~here;
                }
            }
        }
    }
}

/* Without dilation, and with it: in one function the compiler spills what the loops need. */
static int maxpool_back_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    step_part part = part_of(job, task);
    pool_rows rows = start_rows(job, part);
    if (rows.r0 >= rows.r1) return 0;
    if (rows.add) maxpool_back_rows(job, part, rows, 1, 1, 1);
    else maxpool_back_rows(job, part, rows, 1, 1, 0);
    return 0;
}

static int maxpool_back_dilated_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    step_part part = part_of(job, task);
    pool_rows rows = start_rows(job, part);
    if (rows.r0 < rows.r1) maxpool_back_rows(job, part, rows, job->step->g.DH, job->step->g.DW, rows.add);
    return 0;
}

INLINE void avgpool_back_rows(const step_job *job, step_part part, pool_rows rows, int add) {
    const program_step *step = job->step;
    const geometry g = step->g;
    T *dx = map_at(&step->dx, job->arena, part.image, part.group, 0, 0);
    size pitch = step->dx.pitch;
    int whole = windows_whole(&g, &step->mean);
    for (size row = rows.first; row < part.r1; row++) {
        const T *dy = map_at(&step->dy, job->arena, part.image, part.group, row, 0);
        for (size column = 0; column < g.OW; column++) {
            size count;
            window k = mean_window(&g, &step->mean, whole, row, column, &count);
            V share = load(dy + column * L) / (T)count;
            for (size h = larger(k.h0, rows.r0); h < smaller(k.h1, rows.r1); h++)
                for (size w = k.w0; w < k.w1; w++) give(dx + h * pitch + w * L, share, add);
        }
    }
}

static int avgpool_back_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    step_part part = part_of(job, task);
    pool_rows rows = start_rows(job, part);
    if (rows.r0 >= rows.r1) return 0;
    if (rows.add) avgpool_back_rows(job, part, rows, 1);
    else avgpool_back_rows(job, part, rows, 0);
    return 0;
}

static int pooling_step(step_job *job, pool_task pool) {
    const program_step *step = job->step;
    deal_blocks(job);
    size window = step->mean.bins ? step->x.H * step->x.W : step->y.H * step->y.W * step->g.KH * step->g.KW;
    return run_tasks(job, pool, job->n * job->groups * job->bands, job->n * job->groups * window > PARALLEL_FROM);
}

static int maxpool_back_step(step_job *job) {
    const geometry *g = &job->step->g;
    return pooling_step(job, g->DH == 1 && g->DW == 1 ? maxpool_back_task : maxpool_back_dilated_task);
}

#endif
