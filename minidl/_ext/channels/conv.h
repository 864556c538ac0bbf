/* Convolution of maps. A task makes a band of rows of some groups of M blocks of output channels.

   Weights stand in the order in which the tile reads them: for each group of M blocks, for each of its `depth` blocks
   of x, row and column of the kernel and channel, M vectors. A grouped convolution's blocks read the blocks of x that
   hold their groups' channels; where a block holds several groups, weights of 0 stand between them. A linear layer is a
   convolution as large as its input whose pixels are the images. */
#ifndef MINIDL_CHANNELS_CONV_H
#define MINIDL_CHANNELS_CONV_H

#include "../core/pool.h"
#include "function.h"
#include "map.h"
#include "tile.h"

/* Bytes of weights: of all groups that one task takes along, and of those that the tiles of a band read in turn. */
enum { WEIGHTS_IN_CACHE = 400 * 1024, WEIGHTS_AT_ONCE = 24 * 1024 };

/* Of the channels of the last block of x that a group reads, and so of its runs. */
INLINE size last_lanes(const program_step *step) {
    const map *x = &step->x;
    return step->g.G == 1 && x->C % x->lanes ? x->C % x->lanes : x->lanes;
}

/* Whether the columns of the kernel are one run. */
INLINE int one_run(const program_step *step) { return step->g.DW == 1 && last_lanes(step) == step->x.lanes; }

/* The weights of one channel of x at one place of the kernel, `at`, for the outputs [first, end). */
INLINE void pack_outputs(const program_step *step, const T *at, size c, size first, size end, T *to) {
    const geometry *g = &step->g;
    const weight_order *order = &step->order;
    const T *scale = step->scale;
    size C = g->C / g->G, O = g->O / g->G, there = smaller(end, g->O), o = first;
    if (g->G == 1) {
        for (at += c * order->in; o < there; o++) to[o - first] = at[o * order->out];
    } else {
        for (; o < there; o++) {
            size group = o / O, inside = c - group * C;
            int belongs = inside >= 0 && inside < C;
            to[o - first] = belongs ? at[group * order->group + o % O * order->out + inside * order->in] : 0;
        }
    }
    for (; o < end; o++) to[o - first] = 0;
    for (o = first; scale && o < there; o++) to[o - first] *= scale[o];
}

static int pack_conv_task(void *context, ptrdiff_t group) {
    const program_step *step = context;
    const geometry *g = &step->g;
    const weight_order *order = &step->order;
    size B = step->x.lanes, taps = g->KH * g->KW;
    size first = group * step->M, M = smaller(step->M, blocks_of(g->O) - first), lowest = step->first[group];
    T *to = (T *)step->w + first * L * taps * ((step->depth - 1) * B + last_lanes(step));
    for (size block = lowest; block < lowest + step->depth; block++) {
        size lanes = block + 1 < lowest + step->depth ? B : last_lanes(step);
        for (size i = 0; i < g->KH; i++) {
            for (size j = 0; j < g->KW; j++) {
                const T *at = (const T *)step->weights + order->at + i * order->row + j * order->column;
                for (size c = block * B; c < block * B + lanes; c++, to += M * L)
                    pack_outputs(step, at, c, first * L, (first + M) * L, to);
            }
        }
    }
    return 0;
}

static channel_walk walk_of(const program_step *step) {
    const geometry *g = &step->g;
    const map *x = &step->x, *y = &step->y, *other = &step->other;
    int whole = one_run(step);
    channel_walk walk = {
        .blocks = step->depth,
        .rows = g->KH,
        .columns = whole ? 1 : g->KW,
        .run = whole ? g->KW * x->lanes : x->lanes,
        .last_run = whole ? g->KW * x->lanes : last_lanes(step),
        .x_block = x->plane,
        .x_row = g->DH * x->pitch,
        .x_column = g->DW * x->lanes,
        .x_down = g->SH * x->pitch,
        .x_step = g->SW * x->lanes,
        .y_down = y->pitch,
        .y_step = y->step,
        .y_block = y->plane,
        .other_down = other->pitch,
        .other_step = other->step,
        .other_block = other->plane,
        .add = step->add,
        .relu = rectified_in_tile(step),
        .capped = capped_in_tile(step),
        .cap = (T)step->q,
    };
    if (step->by_images) walk.x_step = x->image, walk.y_step = y->image, walk.other_step = other->image;
    return walk;
}

/* How the pixels of a band are dealt to tiles: rows in pairs where their parts are fuller so. */
typedef struct {
    size parts, rows;
} tile_parts;

static tile_parts parts_of(size M, size columns, size rows) {
    size parts = ceil_div(columns, M > 2 ? PIXELS_OF_FOUR : PIXELS), paired = ceil_div(columns, PIXELS_OF_TWO);
    return M <= 2 && rows > 1 && paired < 2 * parts ? (tile_parts){paired, 2} : (tile_parts){parts, 1};
}

/* Whether all pixels of a map are neighbours. */
INLINE int seamless(const map *m) { return m->pitch == m->W * m->step; }

/* Whether rows may be taken together: each pixel is made of one, and nothing lies between two rows. */
static int rows_are_one(const program_step *step) {
    const geometry *g = &step->g;
    return g->KH * g->KW * g->SH * g->SW == 1 && !step->by_images && !g->PH && !g->PW && step->x.W == step->y.W &&
           seamless(&step->x) && seamless(&step->y) && (!step->add || seamless(&step->other));
}

/* The walk over the blocks [first, end) of `depth`: what is added, which may be y itself, comes with the first ones,
   the function with the last. */
static channel_walk part_of_walk(const channel_walk *whole, size depth, size first, size end) {
    channel_walk walk = *whole;
    walk.blocks = end - first;
    walk.resume = first > 0;
    if (first) walk.add = 0;
    if (end < depth) walk.last_run = walk.run, walk.relu = walk.capped = 0;
    return walk;
}

/* Rows of the groups of blocks [first_group, end_group). */
static void conv_rows(const step_job *job, step_part part, size first_group, size end_group) {
    const program_step *step = job->step;
    size blocks = map_blocks(&step->y), M = step->M;
    size columns = step->by_images ? job->images : step->y.W, images = step->by_images ? job->images : 1;
    size r0 = part.r0, r1 = part.r1;
    if (rows_are_one(step)) columns *= r1 - r0, r1 = r0 + 1;
    channel_walk walk = walk_of(step);
    tile_parts parts = parts_of(M, columns, r1 - r0);
    size taps = walk.rows * walk.columns, depth = ((step->depth - 1) * walk.run + walk.last_run) * taps;
    size chunk = larger(1, WEIGHTS_AT_ONCE / (M * VBYTES * walk.run * taps));
    for (size group = first_group; group < end_group; group++) {
        size block = group * M, count = smaller(M, blocks - block);
        const T *w = (const T *)step->w + block * L * depth, *b = (const T *)step->b + block * L;
        for (size first = 0; first < step->depth; first += chunk) {
            size end = smaller(step->depth, first + chunk);
            channel_walk part_walk = part_of_walk(&walk, step->depth, first, end);
            for (size row = r0; row < r1; row += parts.rows) {
                const T *x = map_at(&step->x, job->arena, part.image, step->first[group] + first,
                                    row * step->g.SH - step->g.PH, -step->g.PW);
                T *y = map_at(&step->y, job->arena, part.image, block, row, 0);
                const T *other = step->add ? map_at(&step->other, job->arena, part.image, block, row, 0) : y;
                for (size p = 0; p < parts.parts; p++) {
                    size start = p * columns / parts.parts, stop = (p + 1) * columns / parts.parts;
                    channel_tile_of(count, smaller(parts.rows, r1 - row), stop - start, &part_walk, w,
                                    x + start * walk.x_step, b, other + start * walk.other_step,
                                    y + start * walk.y_step);
                }
            }
            w += count * L * walk.run * taps * chunk;
        }
        for (size image = part.image; image < part.image + images; image++)
            for (size i = block; i < block + count; i++) finish_block(job, image, i, part.r0, part.r1);
    }
}

static int conv_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    step_part part = part_of(job, task);
    size many = ceil_div(map_blocks(&job->step->y), job->step->M);
    conv_rows(job, part, part.group * many / job->groups, (part.group + 1) * many / job->groups);
    return 0;
}

static int conv_step(step_job *job) {
    const program_step *step = job->step;
    const geometry *g = &step->g;
    size many = ceil_div(map_blocks(&step->y), step->M), threads = job->threads;
    size taps = g->KH * g->KW, bytes = step->depth * step->x.lanes * taps * map_blocks(&step->y) * VBYTES;
    size work = job->n * step->y.H * step->y.W * step->depth * step->x.lanes * taps * map_blocks(&step->y);
    if (step->by_images) job->n = 1;
    /* Weights that stay in a core's cache are read by whole bands; others once by one task, for all its images. */
    job->groups = bytes > WEIGHTS_IN_CACHE ? many : 1;
    deal(job, larger(1, ceil_div(TASKS_A_THREAD * threads, job->n * job->groups)));
    if (job->n * job->bands < threads) job->groups = smaller(many, TASKS_A_THREAD * threads);
    return run_tasks(job, conv_task, job->n * job->groups * job->bands, work > PARALLEL_FROM);
}

#endif
