/* Gradients of weights: dw[o, c, i, j] is the sum over all pixels of all images of dy[o] times x[c], moved by (i, j).

   The register tile of tile.h, turned once more: M vectors of output channels, dy of a pixel, times R taps, each a
   number of x beside that pixel, summed over the pixels of a band. A tap is one weight of an output channel, (c, i, j):
   an offset into x. A task has some taps of M blocks of outputs, for all images, so no two tasks add to one sum; a sum
   goes pixel by pixel through a band, then band by band, whatever the tasks are. Where each channel has a kernel of its
   own a tap is a vector. */
#ifndef MINIDL_CHANNELS_WEIGHTS_H
#define MINIDL_CHANNELS_WEIGHTS_H

#include "map.h"
#include "tile.h"

/* Pixels of a band: a tile's dy and a block of x stay in the first cache. Taps of a task: a multiple of each tile's. */
enum { BAND_PIXELS_OF_DY = 4096 / VBYTES, TASK_TAPS = 72 };

/* M vectors times taps_of_tile(M), as many as the registers hold. */
enum { WEIGHT_VECTORS = VBYTES == 16 ? 2 : 3, DEPTHWISE_TAPS = 9 };
INLINE size taps_of_tile(size M) {
    if (VBYTES == 64 || M == 1) return 8;
    return VBYTES == 32 && M == 2 ? 6 : 4;
}

/* The pixels of dy that a sum goes through, and elements from one to the next. */
typedef struct {
    size images, rows, columns;
    size dy_block, dy_image, dy_down, dy_step, x_image, x_down, x_step;
    int resume; /* not the first band: what stands in the sums is added to */
} pixel_walk;

/* sums[tap][vector] += the sum over a band. own: taps are vectors. */
INLINE void weight_tile(const int M, const int R, const int own, const pixel_walk *band, const T *dy, const T *x,
                        const size *taps, T *sums) {
    V acc[WEIGHT_VECTORS][DEPTHWISE_TAPS];
    size tap[DEPTHWISE_TAPS];
    const size dy_block = band->dy_block, dy_step = band->dy_step, x_step = band->x_step;
    UNROLL for (int r = 0; r < R; r++) {
        tap[r] = taps[r] - taps[0];
        UNROLL for (int m = 0; m < M; m++) acc[m][r] = (V){0};
    }
    for (size image = 0; image < band->images; image++) {
        for (size row = 0; row < band->rows; row++) {
            const T *from = dy + image * band->dy_image + row * band->dy_down;
            const T *at = x + taps[0] + image * band->x_image + row * band->x_down;
            for (size column = 0; column < band->columns; column++, from += dy_step, at += x_step) {
                V g[WEIGHT_VECTORS];
                UNROLL for (int m = 0; m < M; m++) g[m] = load(from + m * dy_block);
                UNROLL for (int r = 0; r < R; r++) {
                    V s = own ? load(at + tap[r]) : splat(at[tap[r]]);
                    UNROLL for (int m = 0; m < M; m++) acc[m][r] += s * g[m];
                }
            }
        }
    }
    UNROLL for (int r = 0; r < R; r++) {
        UNROLL for (int m = 0; m < M; m++) {
            T *sum = sums + (r * M + m) * L;
            store(sum, band->resume ? load(sum) + acc[m][r] : acc[m][r]);
        }
    }
}

/* Not inlined: among a task's own values, offsets of taps would lose their registers. */
__attribute__((noinline)) static void weight_tile_of(size M, size R, int own, const pixel_walk *band, const T *dy,
                                                     const T *x, const size *taps, T *sums) {
#define CASE(m, own, r) \
    case (own * 4 + m) * 16 + r: \
        if (own || (m <= WEIGHT_VECTORS && r <= taps_of_tile(m))) weight_tile(m, r, own, band, dy, x, taps, sums); \
        break;
    switch ((own * 4 + M) * 16 + R) {
        TO_7(CASE, 1, 0)
        CASE(1, 0, 8)
        TO_7(CASE, 2, 0) CASE(2, 0, 8) TO_7(CASE, 3, 0) CASE(3, 0, 8) TO_7(CASE, 1, 1) CASE(1, 1, 8) CASE(1, 1, 9)
    }
#undef CASE
}

/* sums[vector] += the sum of dy over a band. */
static void add_bias(size M, const pixel_walk *band, const T *dy, T *sums) {
    for (size m = 0; m < M; m++, dy += band->dy_block, sums += L) {
        V even = {0}, odd = {0};
        for (size image = 0; image < band->images; image++) {
            for (size row = 0; row < band->rows; row++) {
                const T *from = dy + image * band->dy_image + row * band->dy_down;
                size column = 0;
                for (; column + 1 < band->columns; column += 2, from += 2 * band->dy_step)
                    even += load(from), odd += load(from + band->dy_step);
                if (column < band->columns) even += load(from);
            }
        }
        store(sums, load(sums) + (even + odd));
    }
}

INLINE int own_kernels(const program_step *step) { return step->kind == STEP_DEPTHWISE_WEIGHTS; }

/* Vectors of a tile: several only where their channels read the same channels of x. */
static size weight_vectors(const program_step *step) {
    size O = step->g.O / step->g.G, M = smaller(WEIGHT_VECTORS, map_blocks(&step->dy));
    if (own_kernels(step)) return 1;
    while (step->g.G > 1 && M > 1 && O % (M * L)) M--;
    return M;
}

/* M blocks of outputs, the channels of x from `channel` on that these read, their `taps`, and of these a task's; tile:
   the most taps of a tile. */
typedef struct {
    size block, M, channel, taps, tile, first, end;
} weight_part;

static weight_part weight_part_of(const step_job *job, ptrdiff_t task) {
    const program_step *step = job->step;
    const geometry *g = &step->g;
    size group = task / job->bands, share = task % job->bands, blocks = map_blocks(&step->dy);
    size C = g->C / g->G, O = g->O / g->G, block = group * blocks / job->groups;
    size M = (group + 1) * blocks / job->groups - block, last = smaller((block + M) * L, g->O) - 1;
    weight_part part = {.block = block, .M = M, .taps = g->KH * g->KW, .tile = DEPTHWISE_TAPS};
    if (!own_kernels(step)) {
        part.channel = block * L / O * C;
        part.taps *= (last / O + 1) * C - part.channel;
        part.tile = taps_of_tile(M);
    }
    size tiles = ceil_div(part.taps, part.tile);
    part.first = share * tiles / job->bands * part.tile;
    part.end = smaller(part.taps, (share + 1) * tiles / job->bands * part.tile);
    return part;
}

/* Where a task's taps stand, from the first pixel of x that the first kernel reads. */
static void find_weight_taps(const program_step *step, const weight_part *part, size *taps) {
    const geometry *g = &step->g;
    const map *x = &step->x;
    size channel = part->channel + part->first / (g->KH * g->KW);
    size block = own_kernels(step) ? part->block : channel / x->lanes,
         lane = own_kernels(step) ? 0 : channel % x->lanes;
    size i = part->first / g->KW % g->KH, j = part->first % g->KW;
    for (size tap = part->first; tap < part->end; tap++) {
        *taps++ = block * x->plane + lane + i * g->DH * x->pitch + j * g->DW * x->lanes;
        if (++j < g->KW) continue;
        j = 0;
        if (++i < g->KH) continue;
        i = 0;
        if (++lane == x->lanes) block++, lane = 0;
    }
}

/* All pixels; where an image has but one, images are the pixels, and rows without anything between them are one. */
static pixel_walk all_pixels(const step_job *job) {
    const geometry *g = &job->step->g;
    const map *x = &job->step->x, *dy = &job->step->dy;
    pixel_walk all = {
        .images = job->n,
        .rows = dy->H,
        .columns = dy->W,
        .dy_block = dy->plane,
        .dy_image = dy->image,
        .dy_down = dy->pitch,
        .dy_step = dy->lanes,
        .x_image = x->image,
        .x_down = g->SH * x->pitch,
        .x_step = g->SW * x->lanes,
    };
    if (dy->H * dy->W == 1) all.images = 1, all.columns = job->n, all.dy_step = dy->image, all.x_step = x->image;
    else if (all.dy_down == all.columns * all.dy_step && all.x_down == all.columns * all.x_step)
        all.columns *= all.rows, all.rows = 1;
    return all;
}

/* The size of the parts where `count` is cut into as few even ones as have at most `most` each, or one. */
INLINE size even_part(size count, size most) { return ceil_div(count, ceil_div(count, larger(1, most))); }

/* A task's weights of an output channel lie side by side in dw; those between groups are none. */
static void keep_weights(const program_step *step, const weight_part *part, const T *sums) {
    const geometry *g = &step->g;
    size C = g->C / g->G, O = g->O / g->G, all = C * g->KH * g->KW, count = part->end - part->first;
    for (size m = 0; m < part->M; m++) {
        size first_out = (part->block + m) * L, lanes = smaller(L, g->O - first_out), start[L];
        for (size lane = 0; lane < lanes; lane++) {
            size channel = own_kernels(step) ? 0 : (first_out + lane) / O * C - part->channel;
            start[lane] = part->first - channel * g->KH * g->KW;
        }
        for (size first = 0; first < count; first += L) {
            size behind = smaller(L, count - first);
            V square[L];
            UNROLL for (int i = 0; i < L; i++) square[i] =
                i < behind ? load(sums + ((first + i) * part->M + m) * L) : (V){0};
            transpose(square);
            UNROLL for (int lane = 0; lane < L; lane++) {
                if (lane >= lanes) break;
                size at = start[lane] + first;
                T *to = (T *)step->dw + (first_out + lane) * all;
                if (at >= 0 && at + L <= all && behind == L) storeu(to + at, square[lane]);
                else
                    for (size i = larger(0, -at); i < smaller(behind, all - at); i++) to[at + i] = square[lane][i];
            }
        }
    }
}

/* All sums of a task over one band. */
static void sum_band(const program_step *step, const weight_part *part, const pixel_walk *band, const T *dy, const T *x,
                     const size *taps, T *sums) {
    size count = part->end - part->first, tiles = ceil_div(count, part->tile);
    for (size t = 0; t < tiles; t++) {
        size tap = t * count / tiles, R = (t + 1) * count / tiles - tap;
        weight_tile_of(part->M, R, own_kernels(step), band, dy, x, taps + tap, sums + tap * part->M * L);
    }
}

static int weights_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    const weight_part part = weight_part_of(job, task);
    const pixel_walk all = all_pixels(job);
    const T *x = map_at(&step->x, job->arena, 0, 0, -step->g.PH, -step->g.PW);
    const T *dy = map_at(&step->dy, job->arena, 0, part.block, 0, 0);
    int with_bias = step->db && task % job->bands == 0;
    size taps[TASK_TAPS];
    T sums[TASK_TAPS * WEIGHT_VECTORS * L] __attribute__((aligned(VBYTES)));
    T bias[WEIGHT_VECTORS * L] __attribute__((aligned(VBYTES))) = {0};
    find_weight_taps(step, &part, taps);
    size columns = even_part(all.columns, BAND_PIXELS_OF_DY);
    size rows = even_part(all.rows, BAND_PIXELS_OF_DY / columns);
    size images = even_part(all.images, BAND_PIXELS_OF_DY / (columns * rows));
    pixel_walk band = all;
    for (size image = 0; image < all.images; image += images) {
        band.images = smaller(images, all.images - image);
        for (size row = 0; row < all.rows; row += rows) {
            band.rows = smaller(rows, all.rows - row);
            for (size column = 0; column < all.columns; column += columns) {
                band.columns = smaller(columns, all.columns - column);
                const T *x_at = x + image * all.x_image + row * all.x_down + column * all.x_step;
                const T *dy_at = dy + image * all.dy_image + row * all.dy_down + column * all.dy_step;
                sum_band(step, &part, &band, dy_at, x_at, taps, sums);
                if (with_bias) add_bias(part.M, &band, dy_at, bias);
                band.resume = 1;
            }
        }
    }
    keep_weights(step, &part, sums);
    if (with_bias) {
        size first = part.block * L, there = smaller(part.M * L, step->g.O - first);
        memcpy((T *)step->db + first, bias, (size_t)there * sizeof(T));
    }
    return 0;
}

static int weights_step(step_job *job) {
    const program_step *step = job->step;
    size threads = job->threads, blocks = map_blocks(&step->dy), most = 0;
    job->groups = ceil_div(blocks, weight_vectors(step));
    job->bands = 1;
    for (size group = 0; group < job->groups; group++) most = larger(most, weight_part_of(job, group).taps);
    size wanted = threads > 1 ? ceil_div(TASKS_A_THREAD * threads, job->groups) : 1;
    /* No fewer than a tile's taps for a task, or none, where dy alone is summed. */
    job->bands = larger(1, larger(ceil_div(most, TASK_TAPS), smaller(wanted, ceil_div(most, DEPTHWISE_TAPS))));
    size work = job->n * step->dy.H * step->dy.W * blocks * larger(1, most);
    return run_tasks(job, weights_task, job->groups * job->bands, work > PARALLEL_FROM);
}

#endif
