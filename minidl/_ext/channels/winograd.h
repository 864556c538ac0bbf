/* Winograd's form of convolutions of maps, F(mh x mw, 3x3) and F(2x2, 5x5): see lanes/conv/winograd.h.

   A frequency of all tiles is a matrix of tiles x channels, its weights one of channels x outputs, so that the register
   tile multiplies them as a convolution of 1 x 1 pixels, which the tiles are. Weights stand [frequency][group of M
   blocks][channel][M vectors]. A task takes a chunk of tiles, of any image, through all three parts. */
#ifndef MINIDL_CHANNELS_WINOGRAD_H
#define MINIDL_CHANNELS_WINOGRAD_H

#include "../core/pool.h"
#include "../core/winograd.h"
#include "conv.h"

/* Bytes of a chunk's transformed tiles and products, about; tiles, at least, that share one reading of weights; and
   bytes of transformed tiles, at most, that several tasks share. */
enum { CHUNK_BYTES = 256 * 1024, FEW_TILES = 24, TILES_A_TASK = 8, SHARED_BYTES = 2 << 20 };

/* Image and first output pixel. */
typedef struct {
    size image, h, w;
} map_tile;

/* `count` neighbouring weights of each of L outputs, see columns_of. */
INLINE void kernel_weights(const int count, const T *from, size out, size there, const T *end, V *k) {
    UNROLL for (int first = 0; first < count; first += L) {
        V square[L];
        columns_of(from + first, out, there, end, square);
        UNROLL for (int i = 0; i < L; i++) {
            if (first + i < count) k[first + i] = square[i];
        }
    }
}

/* Those of an output, one after the other, in order or in reverse. */
INLINE int stand_together(const weight_order *order, size taps) {
    return order->row == taps * order->column && (order->column == 1 || order->column == -1);
}

INLINE void weight_axis_values(const int m, const int taps, const V *g, size step, V u[WINOGRAD_SIDE]) {
    V own[5] = {{0}};
    UNROLL for (int i = 0; i < taps; i++) own[i] = g[i * step];
    if (taps == 5) weight_values_of_five(own, u);
    else weight_values(m, own[0], own[1], own[2], u);
}

/* The weights of each of L outputs for one channel, scaled. w: the first one of the first output. */
INLINE void scaled_kernels(const int taps, const weight_order *order, const T *w, size there, const T *end, V scale,
                           V *k) {
    const int area = taps * taps, reverse = order->column < 0;
    if (stand_together(order, taps)) {
        V found[25];
        kernel_weights(area, reverse ? w - (area - 1) : w, order->out, there, end, found);
        UNROLL for (int i = 0; i < area; i++) k[i] = (reverse ? found[area - 1 - i] : found[i]) * scale;
        return;
    }
    for (int i = 0; i < area; i++) {
        const T *from = w + i / taps * order->row + i % taps * order->column;
        T lanes[L] = {0};
        for (size lane = 0; lane < there; lane++) lanes[lane] = from[lane * order->out];
        k[i] = loadu(lanes) * scale;
    }
}

ONE_COPY void nine_kernels(const weight_order *order, const T *w, size there, const T *end, V scale, V *k) {
    scaled_kernels(3, order, w, there, end, scale, k);
}

ONE_COPY void kernels_of_five(const weight_order *order, const T *w, size there, const T *end, V scale, V *k) {
    scaled_kernels(5, order, w, there, end, scale, k);
}

INLINE void pack_winograd(const int mh, const int mw, const int taps, const program_step *step, ptrdiff_t block) {
    const geometry *g = &step->g;
    const weight_order *order = &step->order;
    const int height = mh + taps - 1, width = mw + taps - 1;
    const size blocks = blocks_of(g->O), first = block / step->M * step->M, M = smaller(step->M, blocks - first);
    const size there = smaller(L, g->O - block * L), f_step = blocks * L * g->C;
    const T *w = (const T *)step->weights + order->at + block * L * order->out;
    V scale = splat(1);
    for (size lane = 0; step->scale && lane < there; lane++) scale[lane] = ((const T *)step->scale)[block * L + lane];
    T *to = (T *)step->w + first * L * g->C + (block - first) * L;
    const T *end = (const T *)step->weights + g->O * g->C * taps * taps;
    for (size c = 0; c < g->C; c++, to += M * L, w += order->in) {
        V k[25], u[5][WINOGRAD_SIDE], v[WINOGRAD_SIDE];
        (taps == 5 ? kernels_of_five : nine_kernels)(order, w, there, end, scale, k);
        UNROLL for (int i = 0; i < taps; i++) weight_axis_values(mh, taps, k + i, taps, u[i]);
        UNROLL for (int i = 0; i < height; i++) {
            weight_axis_values(mw, taps, &u[0][i], WINOGRAD_SIDE, v);
            UNROLL for (int j = 0; j < width; j++) store(to + (i * width + j) * f_step, v[j]);
        }
    }
}

static int pack_winograd_task(void *context, ptrdiff_t block) {
    const program_step *step = context;
    if (step->g.KH == 5) pack_winograd(2, 2, 5, step, block);
    else if (step->columns == 2) pack_winograd(2, 2, 3, step, block);
    else if (step->rows == 2) pack_winograd(2, 4, 3, step, block);
    else pack_winograd(4, 4, 3, step, block);
    return 0;
}

typedef struct {
    const step_job *job;
    size tiles; /* of all images */
    T *shared;  /* what B^T d B of all is, or NULL: each task makes its own */
} winograd_step_job;

/* The tiles from `first` on. */
static void find_tiles(const program_step *step, size first, size count, map_tile *tile) {
    size mh = step->rows, mw = step->columns, across = ceil_div(step->y.W, mw), each = ceil_div(step->y.H, mh) * across;
    for (size t = 0; t < count; t++) {
        size place = (first + t) % each;
        tile[t] = (map_tile){(first + t) / each, place / across * mh, place % across * mw};
    }
}

/* B^T d B of the tiles, [frequency][tile][channel]. */
static void transform_tiles(const step_job *job, const map_tile *tile, size count, T *to, size channels, size f_step) {
    const map *x = &job->step->x;
    const geometry *g = &job->step->g;
    const size mh = job->step->rows + g->KH - 3, mw = job->step->columns + g->KW - 3; /* of 3 x 3 with that input */
    for (size block = 0; block < map_blocks(x); block++) {
        for (size t = 0; t < count; t++) {
            const T *row[WINOGRAD_SIDE];
            for (size i = 0; i < mh + 2; i++) {
                size h = tile[t].h - g->PH + i;
                row[i] = h >= 0 && h < x->H ? map_at(x, job->arena, tile[t].image, block, h, 0) : NULL;
            }
            input_tile(mh, mw, row, tile[t].w - g->PW, x->W, to + t * channels + block * L, f_step);
        }
    }
}

/* The outputs of a block of channels out of their products. */
INLINE void transform_products_of(const int mh, const int mw, const int taps, const step_job *job, const map_tile *tile,
                                  size count, size block, const T *products, size f_step) {
    const program_step *step = job->step;
    const map *m = &step->y;
    V bias = load((const T *)step->b + block * L);
    VI mask = lanes_of(m, block);
    for (size t = 0; t < count; t++) {
        V y[4][4];
        output_tile(mh, mw, taps, products + t * L, f_step, y);
        size wide = smaller(mw, m->W - tile[t].w);
        UNROLL for (int i = 0; i < mh; i++) {
            if (tile[t].h + i >= m->H) break;
            T *to = map_at(m, job->arena, tile[t].image, block, tile[t].h + i, tile[t].w);
            const T *other =
                step->add ? map_at(&step->other, job->arena, tile[t].image, block, tile[t].h + i, tile[t].w) : NULL;
            UNROLL for (int j = 0; j < mw; j++) {
                V v = y[i][j] + bias;
                if (j >= wide) break;
                if (other) v += load(other + j * step->other.step);
                store(to + j * m->step, step->relu ? relu(v) : v);
            }
            if (step->acts) act_on(step, to, to, wide, mask); /* of a whole map: no phase has a function */
        }
    }
}

static void transform_products(const step_job *job, const map_tile *tile, size count, size block, const T *products,
                               size f_step) {
    if (job->step->g.KH == 5) transform_products_of(2, 2, 5, job, tile, count, block, products, f_step);
    else if (job->step->columns == 2) transform_products_of(2, 2, 3, job, tile, count, block, products, f_step);
    else if (job->step->rows == 2) transform_products_of(2, 4, 3, job, tile, count, block, products, f_step);
    else transform_products_of(4, 4, 3, job, tile, count, block, products, f_step);
}

INLINE size frequencies_of(const program_step *step) {
    return (step->rows + step->g.KH - 1) * (step->columns + step->g.KH - 1);
}

/* Some tiles, for all tasks that come. */
static int share_tiles_task(void *context, ptrdiff_t task) {
    const winograd_step_job *all = context;
    const step_job *job = all->job;
    size channels = map_blocks(&job->step->x) * L, f_step = all->tiles * channels + L, first = task * TILES_A_TASK;
    map_tile tile[TILES_A_TASK];
    size count = smaller(TILES_A_TASK, all->tiles - first);
    find_tiles(job->step, first, count, tile);
    transform_tiles(job, tile, count, all->shared + first * channels, channels, f_step);
    return 0;
}

static int winograd_step_task(void *context, ptrdiff_t task) {
    const winograd_step_job *all = context;
    const step_job *job = all->job;
    const program_step *step = job->step;
    const map *y = &step->y;
    size frequencies = frequencies_of(step), blocks = map_blocks(y), many = ceil_div(blocks, step->M),
         band = task % job->bands, part = task / job->bands;
    size from = part * many / job->groups, to = (part + 1) * many / job->groups;
    size first = from * step->M, mine = smaller(to * step->M, blocks) - first; /* blocks of this task */
    size start = band * all->tiles / job->bands, end = (band + 1) * all->tiles / job->bands;
    size C = step->x.C, channels = map_blocks(&step->x) * L;
    size chunk = larger(FEW_TILES, CHUNK_BYTES / (size)sizeof(T) / (frequencies * (channels + mine * L)));
    chunk = smaller(chunk, end - start);
    size own = all->shared ? 0 : chunk * channels + L, p_step = mine * chunk * L;
    size f_step = all->shared ? all->tiles * channels + L : own;
    size_t floats = (size_t)(frequencies * (own + p_step) + 4 * L);
    T *memory = pool_scratch(SCRATCH_TASK, floats * sizeof(T) + (size_t)chunk * sizeof(map_tile));
    if (!memory) return -1;
    T *products = memory + frequencies * own, *zeros = products + frequencies * p_step;
    map_tile *tile = (map_tile *)(zeros + 4 * L);
    clear(zeros, 4 * L);
    channel_walk walk = {
        .blocks = 1, .rows = 1, .columns = 1, .run = C, .last_run = C, .x_step = channels, .y_step = L};
    walk.y_block = chunk * L;
    for (size t0 = start; t0 < end; t0 += chunk) {
        size count = smaller(chunk, end - t0), parts = ceil_div(count, PIXELS);
        const T *input = all->shared ? all->shared + t0 * channels : memory;
        find_tiles(step, t0, count, tile);
        if (!all->shared) transform_tiles(job, tile, count, memory, channels, f_step);
        for (size f = 0; f < frequencies; f++) {
            for (size block = first; block < first + mine; block += step->M) {
                const T *w = (const T *)step->w + (f * blocks + block) * L * C;
                T *sums = products + f * p_step + (block - first) * chunk * L;
                for (size p = 0; p < parts; p++) {
                    size low = p * count / parts, high = (p + 1) * count / parts;
                    channel_tile_of(smaller(step->M, blocks - block), 1, high - low, &walk, w,
                                    input + f * f_step + low * channels, zeros, sums, sums + low * L);
                }
            }
        }
        for (size block = first; block < first + mine; block++)
            transform_products(job, tile, count, block, products + (block - first) * chunk * L, p_step);
    }
    size across = ceil_div(y->W, step->columns), each = ceil_div(y->H, step->rows) * across;
    for (size block = first; block < first + mine; block++) {
        for (size t = start; t < end; t++) {
            size place = t % each, row = place / across * step->rows;
            if (place % across == 0) clear_halo(y, job->arena, t / each, block, row, smaller(y->H, row + step->rows));
        }
    }
    return 0;
}

static int winograd_step(step_job *job) {
    const program_step *step = job->step;
    size many = ceil_div(map_blocks(&step->y), step->M), threads = job->threads;
    size tiles = job->images * ceil_div(step->y.H, step->rows) * ceil_div(step->y.W, step->columns);
    size frequencies = frequencies_of(step), channels = map_blocks(&step->x) * L;
    size bytes = frequencies * step->x.C * map_blocks(&step->y) * VBYTES;
    size shared = frequencies * (tiles * channels + L) * (size)sizeof(T);
    int parallel = tiles * step->x.C * map_blocks(&step->y) * 16 > PARALLEL_FROM && threads > 1;
    winograd_step_job all = {.job = job, .tiles = tiles};
    job->groups = 1;
    job->bands = even_bands(smaller(TASKS_A_THREAD * threads, tiles / FEW_TILES), 1, threads);
    /* Of weights that no cache holds a task takes a part, for all tiles. */
    if (bytes > WEIGHTS_IN_CACHE || job->bands < threads) {
        job->groups = smaller(many, 2 * threads);
        size wanted = ceil_div(TASKS_A_THREAD * threads, job->groups);
        job->bands = even_bands(smaller(wanted, tiles / FEW_TILES), job->groups, threads);
        /* Transforms that parts save, in vector operations, pay for two more threads that wait for each other. */
        size saved = (job->groups - 1) * tiles * map_blocks(&step->x) * frequencies * 6;
        if (saved > (parallel ? 2 * PARALLEL_FROM : 0) && shared <= SHARED_BYTES) {
            all.shared = pool_scratch(SCRATCH_CALL, (size_t)shared);
            if (!all.shared || pool_run(share_tiles_task, &all, ceil_div(tiles, TILES_A_TASK), parallel)) return -1;
        }
    }
    return pool_run(winograd_step_task, &all, job->groups * job->bands, parallel);
}

#endif
