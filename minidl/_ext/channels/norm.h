/* Batch normalisation in training, both ways, and what group_norm.h shares with it. Sums are taken of parts, bands of
   rows of an image, in T; then of all parts, one after the other, in double. Parts depend on shapes alone, so that sums
   have one order for any number of threads. Twin: minidl/kernels/reference/norm.py. */
#ifndef MINIDL_CHANNELS_NORM_H
#define MINIDL_CHANNELS_NORM_H

#include <math.h>

#include "../core/statistics.h"
#include "map.h"

enum { PART_PIXELS = 512 }; /* a part is read twice: it must stay in the first cache */

/* sums: two of each block of each part. */
typedef struct {
    const step_job *job;
    size blocks, bands, parts;
    wide_sum *sums;
} norm_job;

INLINE wide_sum *norm_sums(const norm_job *norm, size part, size block) {
    return norm->sums + (part * norm->blocks + block) * 2;
}

INLINE step_part norm_part(const norm_job *norm, size part, size block) {
    size H = norm->job->step->x.H, band = part % norm->bands;
    return (step_part){part / norm->bands, block, band * H / norm->bands, (band + 1) * H / norm->bands};
}

INLINE double norm_count(const norm_job *norm, step_part part) {
    return (double)((part.r1 - part.r0) * norm->job->step->x.W);
}

/* What a vector of channels of an image is normalised with, as norm_value has it; on the way back dx = out (in dy - a -
   (x - mean) b). */
typedef struct {
    V mean, scale, beta, in, out, a, b;
} norm_numbers;

/* STEP_GROUP_NORM's stand in the arena, as an image has its own. */
INLINE const T *group_numbers(const step_job *job, size image, size block) {
    return map_at(&job->step->statistics, job->arena, image, block, 0, 0);
}

INLINE int of_groups(const program_step *step) {
    return step->kind == STEP_GROUP_NORM || step->kind == STEP_GROUP_NORM_BACKWARD;
}

static norm_numbers norm_numbers_of(const step_job *job, size image, size block) {
    const program_step *step = job->step;
    size at = block * L;
    if (of_groups(step)) {
        const T *own = group_numbers(job, image, block);
        V inv_std = load(own + L), gamma = load(own + 2 * L);
        return (norm_numbers){load(own), gamma * inv_std,   load(own + 3 * L), gamma,
                              inv_std,   load(own + 4 * L), load(own + 5 * L)};
    }
    norm_numbers all = {.mean = load((const T *)step->norm_mean + at), .scale = load((const T *)step->w + at)};
    if (step->kind == STEP_NORM) all.beta = load((const T *)step->b + at);
    else all.a = load((const T *)step->b + 2 * at), all.b = load((const T *)step->b + 2 * at + L);
    all.in = splat(1), all.out = all.scale;
    return all;
}

/* Mean and sum of squared differences of a part: about a rough mean first, which then corrects itself. */
static int norm_part_task(void *context, ptrdiff_t task) {
    const norm_job *norm = context;
    const map *m = &norm->job->step->x;
    size number = task / norm->blocks, block = task % norm->blocks;
    step_part part = norm_part(norm, number, block);
    double count = norm_count(norm, part);
    V sum[4] = {{0}}, square[4] = {{0}};
    for (size row = part.r0; row < part.r1; row++) {
        const T *x = map_at(m, norm->job->arena, part.image, block, row, 0);
        size w = 0;
        for (; w + 4 <= m->W; w += 4) {
            UNROLL for (int q = 0; q < 4; q++) sum[q] += load(x + (w + q) * L);
        }
        UNROLL for (int q = 0; q < 3; q++) {
            if (w + q < m->W) sum[q] += load(x + (w + q) * L);
        }
    }
    V rough = sum_of_four(sum) / (T)count;
    UNROLL for (int q = 0; q < 4; q++) sum[q] = (V){0};
    for (size row = part.r0; row < part.r1; row++) {
        const T *x = map_at(m, norm->job->arena, part.image, block, row, 0);
        size w = 0;
        for (; w + 4 <= m->W; w += 4) {
            UNROLL for (int q = 0; q < 4; q++) {
                V d = load(x + (w + q) * L) - rough;
                sum[q] += d;
                square[q] += d * d;
            }
        }
        UNROLL for (int q = 0; q < 3; q++) {
            if (w + q < m->W) {
                V d = load(x + (w + q) * L) - rough;
                sum[q] += d;
                square[q] += d * d;
            }
        }
    }
    wide_sum *out = norm_sums(norm, number, block), off = widened(sum_of_four(sum));
    out[0] = widened(rough), out[1] = widened(sum_of_four(square));
    UNROLL for (int i = 0; i < WIDE; i++) {
        VW far = off.part[i] / count, squares = out[1].part[i] - far * far * count;
        out[0].part[i] += far;
        out[1].part[i] = (VW)((VWI)squares & ~(squares < 0));
    }
    return 0;
}

/* Mean and sum of squared differences of the parts [first, end) of a block (Chan, Golub, LeVeque 1979); how many values
   a channel has in them. */
INLINE double norm_merged(const norm_job *norm, size first, size end, size block, wide_sum *mean, wide_sum *squares) {
    double count = 0;
    *mean = *squares = (wide_sum){{{0}}};
    for (size number = first; number < end; number++) {
        const wide_sum *part = norm_sums(norm, number, block);
        double more = norm_count(norm, norm_part(norm, number, block)), share = more / (count + more);
        UNROLL for (int i = 0; i < WIDE; i++) {
            VW far = part[0].part[i] - mean->part[i];
            mean->part[i] += far * share;
            squares->part[i] += part[1].part[i] + far * far * (count * share);
        }
        count += more;
    }
    return count;
}

/* The statistics of a block's channels, and what they make of gamma and beta. Lanes without a channel get zeros. */
static int norm_join_task(void *context, ptrdiff_t block) {
    const norm_job *norm = context;
    const program_step *step = norm->job->step;
    wide_sum mean, squares;
    double count = norm_merged(norm, 0, norm->parts, block, &mean, &squares);
    for (size c = block * L; c < block * L + L; c++) {
        double middle = mean.lane[c % L], var = squares.lane[c % L] / count;
        int there = c < step->x.C;
        T inv_std = there ? (T)(1 / sqrt(var + step->eps)) : 0;
        ((T *)step->norm_mean)[c] = there ? (T)middle : 0;
        ((T *)step->inv_std)[c] = inv_std;
        ((T *)step->w)[c] = there ? ((const T *)step->gamma)[c] * inv_std : 0;
        ((T *)step->b)[c] = there ? ((const T *)step->beta)[c] : 0;
        if (!there) continue;
        T *running_mean = (T *)step->running_mean + c, *running_var = (T *)step->running_var + c;
        *running_mean = (T)(step->momentum * *running_mean + (1 - step->momentum) * middle);
        *running_var = (T)(step->momentum * *running_var + (1 - step->momentum) * var);
    }
    return 0;
}

INLINE void norm_row(const program_step *step, norm_numbers own, const T *x, const T *other, T *y, int add,
                     int rectify) {
    size between = step->other.step;
    for (size w = 0; w < step->y.W; w++) {
        V v = norm_value(load(x + w * L), own.mean, own.scale, own.beta);
        if (add) v += load(other + w * between);
        store(y + w * L, rectify ? relu(v) : v);
    }
}

static int norm_apply_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    step_part part = part_of(job, task);
    norm_numbers own = norm_numbers_of(job, part.image, part.group);
    for (size row = part.r0; row < part.r1; row++) {
        const T *x = map_at(&step->x, job->arena, part.image, part.group, row, 0), *other = NULL;
        T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        if (step->add) other = map_at(&step->other, job->arena, part.image, part.group, row, 0);
        if (step->add && step->relu) norm_row(step, own, x, other, y, 1, 1);
        else if (step->add) norm_row(step, own, x, other, y, 1, 0);
        else norm_row(step, own, x, other, y, 0, step->relu);
    }
    clear_halo(&step->y, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

/* The gradient of a normalised value: that of y, where a relu has let it through. */
INLINE V norm_dy(const T *dy, const T *y, size w, int rectify) {
    V d = load(dy + w * L);
    return rectify ? (V)((VI)d & (load(y + w * L) > 0)) : d;
}

/* Sums of dy and dy (x - mean) of a part. */
INLINE void norm_part_back(const norm_job *norm, ptrdiff_t task, int rectify) {
    const step_job *job = norm->job;
    const program_step *step = job->step;
    size number = task / norm->blocks, block = task % norm->blocks, W = step->x.W;
    step_part part = norm_part(norm, number, block);
    V mean = norm_numbers_of(job, part.image, block).mean, sum[4] = {{0}}, product[4] = {{0}};
    for (size row = part.r0; row < part.r1; row++) {
        const T *x = map_at(&step->x, job->arena, part.image, block, row, 0);
        const T *y = map_at(&step->y, job->arena, part.image, block, row, 0);
        const T *dy = map_at(&step->dy, job->arena, part.image, block, row, 0);
        size w = 0;
        for (; w + 4 <= W; w += 4) {
            UNROLL for (int q = 0; q < 4; q++) {
                V d = norm_dy(dy, y, w + q, rectify);
                sum[q] += d;
                product[q] += d * (load(x + (w + q) * L) - mean);
            }
        }
        UNROLL for (int q = 0; q < 3; q++) {
            if (w + q < W) {
                V d = norm_dy(dy, y, w + q, rectify);
                sum[q] += d;
                product[q] += d * (load(x + (w + q) * L) - mean);
            }
        }
    }
    wide_sum *out = norm_sums(norm, number, block);
    out[0] = widened(sum_of_four(sum)), out[1] = widened(sum_of_four(product));
}

static int norm_part_back_task(void *context, ptrdiff_t task) {
    const norm_job *norm = context;
    if (norm->job->step->relu) norm_part_back(norm, task, 1);
    else norm_part_back(norm, task, 0);
    return 0;
}

/* What norm_part_back has summed, of the parts [first, end) of a block. */
INLINE void norm_added(const norm_job *norm, size first, size end, size block, wide_sum *sum, wide_sum *product) {
    *sum = *product = (wide_sum){{{0}}};
    for (size number = first; number < end; number++) {
        const wide_sum *part = norm_sums(norm, number, block);
        UNROLL for (int i = 0; i < WIDE; i++) sum->part[i] += part[0].part[i], product->part[i] += part[1].part[i];
    }
}

/* dgamma and dbeta of a block's channels; b takes, of each lane, the mean of dy, then what (x - mean) is taken times.
 */
static int norm_join_back_task(void *context, ptrdiff_t block) {
    const norm_job *norm = context;
    const program_step *step = norm->job->step;
    double count = (double)(norm->job->n * step->x.H * step->x.W);
    wide_sum sum, product;
    norm_added(norm, 0, norm->parts, block, &sum, &product);
    T *mean = (T *)step->b + block * 2 * L, *slope = mean + L;
    for (size lane = 0; lane < L; lane++) {
        size c = block * L + lane;
        double inv_std = (double)((const T *)step->inv_std)[c];
        mean[lane] = (T)(sum.lane[lane] / count);
        slope[lane] = (T)(product.lane[lane] * inv_std * inv_std / count);
        if (c < step->x.C && step->dw) ((T *)step->dw)[c] = (T)(product.lane[lane] * inv_std);
        if (c < step->x.C && step->db) ((T *)step->db)[c] = (T)sum.lane[lane];
    }
    return 0;
}

INLINE void norm_row_back(const program_step *step, norm_numbers own, const T *dy, const T *y, const T *x, T *dx,
                          int rectify) {
    int add = step->add_dx;
    for (size w = 0; w < step->x.W; w++) {
        V d = own.out * (own.in * norm_dy(dy, y, w, rectify) - own.a - (load(x + w * L) - own.mean) * own.b);
        store(dx + w * L, add ? load(dx + w * L) + d : d);
    }
}

INLINE void norm_row_other(const T *dy, const T *y, T *dother, size W, int add, int rectify) {
    for (size w = 0; w < W; w++) {
        V d = norm_dy(dy, y, w, rectify);
        store(dother + w * L, add ? load(dother + w * L) + d : d);
    }
}

static int norm_back_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    step_part part = part_of(job, task);
    norm_numbers own = norm_numbers_of(job, part.image, part.group);
    for (size row = part.r0; row < part.r1; row++) {
        const T *x = map_at(&step->x, job->arena, part.image, part.group, row, 0);
        const T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        const T *dy = map_at(&step->dy, job->arena, part.image, part.group, row, 0);
        int rectify = step->relu;
        if (step->add) { /* first, for dx may stand where dy does */
            T *dother = map_at(&step->dother, job->arena, part.image, part.group, row, 0);
            if (rectify) norm_row_other(dy, y, dother, step->x.W, step->add_dother, 1);
            else norm_row_other(dy, y, dother, step->x.W, step->add_dother, 0);
            if (!step->add_dother) dy = dother, rectify = 0;
        }
        if (!step->dx.C) continue;
        T *dx = map_at(&step->dx, job->arena, part.image, part.group, row, 0);
        if (rectify) norm_row_back(step, own, dy, y, x, dx, 1);
        else norm_row_back(step, own, dy, y, x, dx, 0);
    }
    if (step->dx.C && !step->add_dx) clear_halo(&step->dx, job->arena, part.image, part.group, part.r0, part.r1);
    if (step->add && !step->add_dother) clear_halo(&step->dother, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

/* Sums of parts; what is joined of them, by blocks or, of groups, by images; then of each block the gradients of
   parameters, if these are not joined, too; and the rows. */
static int norm_step(step_job *job, pool_task part, pool_task join, pool_task parameters, pool_task apply) {
    const map *x = &job->step->x;
    norm_job norm = {.job = job, .blocks = map_blocks(x)};
    norm.bands = ceil_div(x->H, larger(1, PART_PIXELS / x->W));
    norm.parts = job->n * norm.bands;
    norm.sums = pool_scratch(SCRATCH_CALL, (size_t)(norm.parts * norm.blocks * 2) * sizeof(wide_sum));
    if (!norm.sums) return -1;
    int parallel = job->n * norm.blocks * x->H * x->W > PARALLEL_FROM / 4;
    if (pool_run(part, &norm, norm.parts * norm.blocks, parallel)) return -1;
    int many = norm.parts * norm.blocks > PARALLEL_FROM / 4;
    if (pool_run(join, &norm, of_groups(job->step) ? job->n : norm.blocks, many)) return -1;
    if (parameters && pool_run(parameters, &norm, norm.blocks, many)) return -1;
    deal_blocks(job);
    return run_tasks(job, apply, job->n * job->groups * job->bands, parallel);
}

#endif
