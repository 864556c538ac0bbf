/* Convolution of maps. A task makes a band of rows of some groups of M blocks of output channels.

   Weights stand in the order in which the tile reads them: for each group of M blocks, for each block of x, row and
   column of the kernel and channel, M vectors. A grouped convolution's blocks read their groups' channels, which may
   begin and end inside a block of x; where a block holds outputs of several groups, weights of 0 stand between them. A
   linear layer is a convolution as large as its input whose pixels are the images. */
#ifndef MINIDL_CHANNELS_CONV_H
#define MINIDL_CHANNELS_CONV_H

#include "../core/pool.h"
#include "function.h"
#include "map.h"
#include "tile.h"

/* Bytes of weights: of all groups that one task takes along, and of those that the tiles of a band read in turn. */
enum { WEIGHTS_IN_CACHE = 400 * 1024, WEIGHTS_AT_ONCE = 24 * 1024 };

/* Of the channels of x in its last block, where a convolution reads all. */
INLINE size last_lanes(const program_step *step) {
    return step->x.C % step->x.lanes ? step->x.C % step->x.lanes : step->x.lanes;
}

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

/* L neighbouring numbers of each of L rows, of which `there` exist, `out` elements apart, as columns; `end`: of all. */
INLINE void columns_of(const T *from, size out, size there, const T *end, V square[L]) {
    if (there == L && from + (L - 1) * out + L <= end) {
        UNROLL for (int lane = 0; lane < L; lane++) square[lane] = loadu(from + lane * out);
    } else {
        for (size lane = 0; lane < L; lane++) {
            const T *row = from + lane * out;
            T some[L] = {0};
            if (lane < there) memcpy(some, row, (size_t)smaller(L, end - row) * sizeof(T));
            square[lane] = loadu(some);
        }
    }
    transpose(square);
}

enum { AHEAD = 4 }; /* so far ahead the next numbers are asked for: rows and channels lie in other pages */

/* Where the weights of L outputs go, of M blocks that stand together: from channel to channel of x, and its blocks. */
typedef struct {
    const program_step *step;
    T *to; /* for channel c of the present block at the kernel's first place */
    size next, place, c, lanes, block;
    V scale;
} packing;

static packing packing_of(const program_step *step, T *to, size M, size block) {
    size there = smaller(L, step->g.O - block * L), lanes = step->depth > 1 ? step->x.lanes : last_lanes(step);
    packing p = {step, to, M * L, lanes * M * L, 0, lanes, 0, splat(1)};
    for (size lane = 0; step->scale && lane < there; lane++) p.scale[lane] = ((const T *)step->scale)[block * L + lane];
    return p;
}

INLINE void next_channel(packing *p, size taps) {
    p->to += p->next;
    if (++p->c < p->lanes) return;
    p->to += (taps - 1) * p->place;
    p->c = 0, p->block++;
    p->lanes = p->block + 1 < p->step->depth ? p->step->x.lanes : last_lanes(p->step);
    p->place = p->lanes * p->next;
}

/* Of a convolution: an output's weights stand together, in the order of channels, rows and columns. */
static void pack_rows(packing *p, const T *from, size there, const T *end) {
    size taps = p->step->g.KH * p->step->g.KW, many = p->step->g.C * taps, tap = 0;
    for (size first = 0; first < many; first += L) {
        V square[L];
        for (size lane = 0; lane < there; lane++)
            __builtin_prefetch(from + lane * p->step->order.out + first + AHEAD * L);
        columns_of(from + first, p->step->order.out, there, end, square);
        for (size i = 0; i < smaller(L, many - first); i++) {
            store(p->to + tap * p->place, square[i] * p->scale);
            if (++tap == taps) tap = 0, next_channel(p, taps);
        }
    }
}

/* Of a convolution's gradient: the weights of neighbouring outputs, each `whole` of the kernel, stand together. */
static void pack_phases(packing *p, const T *from, size there, const T *end) {
    const weight_order *order = &p->step->order;
    const geometry *g = &p->step->g;
    size whole = order->out;
    for (size c = 0; c < g->C; c++, from += order->in, next_channel(p, g->KH * g->KW)) {
        for (size i = 0; i < there * whole; i += 64 / sizeof(T)) __builtin_prefetch(from + AHEAD * order->in + i);
        for (size first = 0; first < whole; first += L) {
            V square[L];
            if (whole > 1) columns_of(from + first, whole, there, end, square);
            else square[0] = loadu(from);
            T *to = p->to;
            for (size i = 0; i < g->KH; i++) {
                size at = order->at + i * order->row - first;
                for (size j = 0; j < g->KW; j++, at += order->column, to += p->place)
                    if (at >= 0 && at < L) store(to, square[at] * p->scale);
            }
        }
    }
}

/* Elements of the weights of one vector of outputs, of those that read most. */
INLINE size weights_of_block(const program_step *step) { return L * step->g.KH * step->g.KW * step->most; }

static void pack_group(const program_step *step, size group, T *to) {
    const geometry *g = &step->g;
    const weight_order *order = &step->order;
    size B = step->x.lanes, taps = g->KH * g->KW;
    size first = group * step->M, M = smaller(step->M, blocks_of(g->O) - first);
    channel_range reads = step->reads[group];
    int rows =
        !order->at && order->column == 1 && order->row == g->KW && order->in == taps && order->out == g->C * taps;
    int phases = order->in == g->O * order->out && (order->out > 1 || g->O % L == 0);
    if (g->G == 1 && (rows || phases)) {
        const T *from = (const T *)step->weights + first * L * order->out;
        const T *end = (const T *)step->weights + g->O * g->C * (rows ? taps : order->out);
        for (size m = 0; m < M; m++, to += L, from += L * order->out) {
            packing p = packing_of(step, to, M, first + m);
            (rows ? pack_rows : pack_phases)(&p, from, smaller(L, g->O - (first + m) * L), end);
        }
        return;
    }
    for (size low = reads.first, end = low + reads.count, high; low < end; low = high) {
        high = smaller(end, (low / B + 1) * B);
        for (size i = 0; i < g->KH; i++) {
            for (size j = 0; j < g->KW; j++) {
                const T *at = (const T *)step->weights + order->at + i * order->row + j * order->column;
                for (size c = low; c < high; c++, to += M * L)
                    pack_outputs(step, at, c, first * L, (first + M) * L, to);
            }
        }
    }
}

static int pack_conv_task(void *context, ptrdiff_t group) {
    const program_step *step = context;
    pack_group(step, group, (T *)step->w + group * step->M * weights_of_block(step));
    return 0;
}

/* The walk over these channels of x. Where they fill their blocks, and nothing lies between a row's columns, these are
   one run. */
static channel_walk walk_of(const program_step *step, channel_range reads) {
    const geometry *g = &step->g;
    const map *x = &step->x, *y = &step->y, *other = &step->other;
    size lanes = x->lanes, lead = reads.first % lanes, end = lead + reads.count, blocks = ceil_div(end, lanes);
    int whole = g->DW == 1 && !lead && end == blocks * lanes;
    size run = whole ? g->KW * lanes : lanes;
    channel_walk walk = {
        .blocks = blocks,
        .rows = g->KH,
        .columns = whole ? 1 : g->KW,
        .run = run,
        .lead = lead,
        .first_run = run - lead,
        .last_run = whole ? run : end - larger(lead, (blocks - 1) * lanes),
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

/* The walk over the blocks [first, end) of these: what is added, which may be y itself, comes with the first ones, the
   function with the last. */
static channel_walk part_of_walk(const channel_walk *whole, size first, size end) {
    channel_walk walk = *whole;
    walk.blocks = end - first;
    walk.resume = first > 0;
    if (end < whole->blocks) walk.last_run = end > 1 ? walk.run : walk.first_run, walk.relu = walk.capped = 0;
    if (first) walk.add = 0, walk.lead = 0, walk.first_run = walk.run;
    return walk;
}

/* Rows of the groups of blocks [first_group, end_group), whose weights stand in `weights`. */
static void conv_rows(const step_job *job, step_part part, size first_group, size end_group, const T *weights) {
    const program_step *step = job->step;
    size blocks = map_blocks(&step->y), M = step->M;
    size columns = step->by_images ? job->images : step->y.W, images = step->by_images ? job->images : 1;
    size r0 = part.r0, r1 = part.r1;
    if (rows_are_one(step)) columns *= r1 - r0, r1 = r0 + 1;
    tile_parts parts = parts_of(M, columns, r1 - r0);
    size lanes = step->x.lanes, taps = step->g.KH * step->g.KW;
    size chunk = larger(1, WEIGHTS_AT_ONCE / (M * VBYTES * lanes * taps));
    channel_walk walk = walk_of(step, step->reads[first_group]);
    for (size group = first_group; group < end_group; group++) {
        size block = group * M, count = smaller(M, blocks - block), low = step->reads[group].first / lanes;
        if (step->g.G > 1) walk = walk_of(step, step->reads[group]);
        const T *w = weights + (group - first_group) * M * weights_of_block(step), *b = (const T *)step->b + block * L;
        for (size first = 0; first < walk.blocks; first += chunk) {
            size end = smaller(walk.blocks, first + chunk);
            channel_walk part_walk = part_of_walk(&walk, first, end);
            for (size row = r0; row < r1; row += parts.rows) {
                const T *x =
                    map_at(&step->x, job->arena, part.image, low + first, row * step->g.SH - step->g.PH, -step->g.PW);
                T *y = map_at(&step->y, job->arena, part.image, block, row, 0);
                const T *other = step->add ? map_at(&step->other, job->arena, part.image, block, row, 0) : y;
                for (size p = 0; p < parts.parts; p++) {
                    size start = p * columns / parts.parts, stop = (p + 1) * columns / parts.parts;
                    channel_tile_of(count, smaller(parts.rows, r1 - row), stop - start, &part_walk, w,
                                    x + start * walk.x_step, b, other + start * walk.other_step,
                                    y + start * walk.y_step);
                }
            }
            w += count * L * taps * (end * lanes - larger(first * lanes, walk.lead));
        }
        for (size image = part.image; image < part.image + images; image++)
            for (size i = block; i < block + count; i++) finish_block(job, image, i, part.r0, part.r1);
    }
}

static int conv_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    step_part part = part_of(job, task);
    size many = ceil_div(map_blocks(&job->step->y), job->step->M), first = part.group * many / job->groups;
    const T *weights = (const T *)job->step->w + first * job->step->M * weights_of_block(job->step);
    conv_rows(job, part, first, (part.group + 1) * many / job->groups, weights);
    return 0;
}

/* All images and rows of a group, whose weights are packed for that: they never leave this core's cache. */
static int packing_task(void *context, ptrdiff_t group) {
    const step_job *job = context;
    const program_step *step = job->step;
    T *weights = pool_scratch(SCRATCH_TASK, (size_t)(step->M * weights_of_block(step)) * sizeof(T));
    if (!weights) return -1;
    pack_group(step, group, weights);
    for (size image = 0; image < (step->by_images ? 1 : job->n); image++)
        conv_rows(job, (step_part){image, group, 0, step->y.H}, group, group + 1, weights);
    return 0;
}

INLINE size weights_of(const program_step *step) { return map_blocks(&step->y) * weights_of_block(step); }

/* Whether a step's weights outgrow a core's cache. */
INLINE int weighs_much(const program_step *step) { return weights_of(step) * (size)sizeof(T) > WEIGHTS_IN_CACHE; }

/* Whether tasks pack the weights, which no other task reads. */
INLINE int packs_in_tasks(const step_job *job) {
    const program_step *step = job->step;
    size many = ceil_div(map_blocks(&step->y), step->M);
    return step->kind == STEP_CONV && step->fresh && weighs_much(step) && many >= TASKS_A_THREAD * job->threads;
}

static int conv_step(step_job *job) {
    const program_step *step = job->step;
    size many = ceil_div(map_blocks(&step->y), step->M), threads = job->threads;
    size work = job->n * step->y.H * step->y.W * weights_of(step) / L;
    if (packs_in_tasks(job)) return run_tasks(job, packing_task, many, 1);
    if (step->by_images) job->n = 1;
    /* Weights that stay in a core's cache are read by whole bands; others once by one task, for all its images. */
    job->groups = weighs_much(step) ? many : 1;
    deal(job, larger(1, ceil_div(TASKS_A_THREAD * threads, job->n * job->groups)));
    if (job->n * job->bands < threads) job->groups = smaller(many, TASKS_A_THREAD * threads);
    return run_tasks(job, conv_task, job->n * job->groups * job->bands, work > PARALLEL_FROM);
}

#endif
