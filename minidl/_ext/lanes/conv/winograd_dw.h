/* Weight gradient of a convolution three columns wide, stride 1, by the transpose of Winograd's F(4, 3) along rows: 6
   products for 4 neighbours of dy where the direct sum takes 12.

   dw[kh] = G^T [sum over tiles of (A dy) * (B^T x[. + kh])], with the matrices of winograd_tile.h along one axis: for
   few channels, or a kernel that is not three rows high, where both axes (winograd_dw2d.h) do not pay. The tiles are
   dealt to tasks as the bands of conv_dw.h are. db is the sum of product 1 of dy, which is the tile's sum. */
#ifndef MINIDL_LANES_CONV_WINOGRAD_DW_H
#define MINIDL_LANES_CONV_WINOGRAD_DW_H

#include <string.h>

#include "../../core/kernels.h"
#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../source.h"
#include "gradient_tile.h"
#include "shares.h"
#include "winograd_tile.h"

enum { ROW_OUT = 4, ROW_PRODUCTS = 6 }; /* of a tile */
enum { DW_CHUNK = 32, DW_TILES = 24 };  /* channels of a task; tiles of a band, at least, where there are as many */

typedef struct {
    const conv_backward_args *a;
    row_source source;
    size c_chunks, o_chunks;            /* of each group */
    size blocks_each, rows_each, tiles; /* of a band: blocks, rows of dy; tiles of a row */
    size row_bands, bands, shares;
    T *sums, *db; /* of the first share: [group][product][o][c][kh]; db is O values, or NULL */
    size share_step;
} winograd_dw_job;

/* B^T x of a row's tiles, the first at column -left: product f of tile t at out + f * f_step + t * L. The row `ahead`,
   of the next channel, is asked for on the way. */
INLINE void rows_input(const T *row, size ahead, size W, size left, size tiles, T *out, size f_step) {
    V d[WINOGRAD_SIDE] = {{0}};
    UNROLL for (int j = 0; j < 2; j++) d[j + 4] = j >= left && j - left < W ? load(row + (j - left) * L) : (V){0};
    for (size t = 0; t < tiles; t++, out += L) {
        size w = ROW_OUT * t - left + 2;
        V a[WINOGRAD_SIDE];
        d[0] = d[4];
        d[1] = d[5];
        if (w >= 0 && w + 4 <= W) {
            UNROLL for (int j = 0; j < 4; j++) d[j + 2] = load(row + (w + j) * L);
        } else {
            UNROLL for (int j = 0; j < 4; j++) d[j + 2] = w + j >= 0 && w + j < W ? load(row + (w + j) * L) : (V){0};
        }
        UNROLL for (int j = 0; j < ROW_PRODUCTS; j++) a[j] = d[j];
        UNROLL for (int j = 0; j < 4; j++) __builtin_prefetch(row + ahead + (w + j) * L);
        input_axis(4, a);
        UNROLL for (int f = 0; f < ROW_PRODUCTS; f++) store(out + f * f_step, a[f]);
    }
}

/* A dy of the tiles of a row: product f of tile t at out + f * f_step + t * L. */
INLINE void rows_gradient(const T *row, size W, size tiles, T *out, size f_step) {
    for (size t = 0; t < tiles; t++, out += L) {
        V d[ROW_OUT];
        UNROLL for (int j = 0; j < ROW_OUT; j++) d[j] =
            ROW_OUT * t + j < W ? load(row + (ROW_OUT * t + j) * L) : (V){0};
        V a[ROW_PRODUCTS];
        gradient_axis(ROW_OUT, d, a);
        UNROLL for (int f = 0; f < ROW_PRODUCTS; f++) store(out + f * f_step, a[f]);
    }
}

static int winograd_dw_task(void *context, ptrdiff_t task) {
    const winograd_dw_job *job = context;
    const conv_backward_args *a = job->a;
    const geometry g = a->g;
    size Cg = g.C / g.G, Og = g.O / g.G, blocks = blocks_of(g.n), KH = g.KH, tiles = job->tiles;
    grad_part part = grad_part_of(task, g.G, job->o_chunks, job->c_chunks);
    size share = part.share, group = part.group;
    size c0 = tile_start(Cg, job->c_chunks, part.c_chunk), C = tile_start(Cg, job->c_chunks, part.c_chunk + 1) - c0;
    size o0 = tile_start(Og, job->o_chunks, part.o_chunk), O = tile_start(Og, job->o_chunks, part.o_chunk + 1) - o0;
    int with_db = job->db && part.c_chunk == 0;
    size high = job->rows_each + KH - 1, channel = high * tiles * L, x_block = (C + with_db) * channel;
    size dy_channel = job->rows_each * tiles * L, dy_block = O * dy_channel, K = C * KH + with_db;
    /* One vector more each, so that the products do not fall on one set of the cache. */
    size x_step = job->blocks_each * x_block + L, g_step = job->blocks_each * dy_block + L;
    size floats = ROW_PRODUCTS * (x_step + g_step) + (source_copies(&job->source) ? g.OW * L : 0);
    T *x_tiles = pool_scratch(SCRATCH_TASK, (size_t)floats * sizeof(T) + (size_t)K * sizeof(size) +
                                                (size_t)job->blocks_each * sizeof(grad_row));
    if (!x_tiles) return -1;
    T *g_tiles = x_tiles + ROW_PRODUCTS * x_step, *copy = g_tiles + ROW_PRODUCTS * g_step;
    size *offset = (size *)(x_tiles + floats);
    grad_row *row = (grad_row *)(offset + K);
    for (size k = 0; k < K; k++) offset[k] = k / KH * channel + k % KH * tiles * L;
    T *sums = job->sums + share * job->share_step + (group * ROW_PRODUCTS * Og + o0) * Cg * KH + c0 * KH;
    T *db = with_db ? job->db + share * job->share_step + group * Og + o0 : NULL;
    for (size f = 0; f < ROW_PRODUCTS; f++)
        for (size o = 0; o < O; o++) memset(sums + (f * Og + o) * Cg * KH, 0, (size_t)(C * KH) * sizeof(T));
    if (with_db) {
        memset(db, 0, (size_t)O * sizeof(T));
        for (size b = 0; b < job->blocks_each; b++)
            for (size i = 0; i < channel; i += L) store(x_tiles + x_step + b * x_block + C * channel + i, splat(1));
    }
    for (size band = share * job->bands / job->shares; band < (share + 1) * job->bands / job->shares; band++) {
        size b0 = band / job->row_bands * job->blocks_each, b1 = smaller(blocks, b0 + job->blocks_each);
        size r0 = band % job->row_bands * job->rows_each, r1 = smaller(g.OH, r0 + job->rows_each);
        size h0 = r0 - g.PH, h1 = r1 + KH - 1 - g.PH;
        for (size b = b0; b < b1; b++) {
            T *xb = x_tiles + (b - b0) * x_block, *gb = g_tiles + (b - b0) * dy_block;
            for (size c = 0; c < C; c++) {
                const T *x = (const T *)a->x + (b * g.C + group * Cg + c0 + c) * g.H * g.W * L;
                for (size h = h0; h < h1; h++) {
                    T *out = xb + c * channel + (h - h0) * tiles * L;
                    if (h >= 0 && h < g.H) {
                        rows_input(x + h * g.W * L, g.H * g.W * L, g.W, g.PW, tiles, out, x_step);
                        continue;
                    }
                    for (size f = 0; f < ROW_PRODUCTS; f++) memset(out + f * x_step, 0, (size_t)tiles * VBYTES);
                }
            }
            if (b == blocks - 1 && g.n % L)
                for (size f = 0; f < ROW_PRODUCTS; f++)
                    mask_lanes(xb + f * x_step, C * channel / L, lanes_below(g.n % L));
            for (size o = 0; o < O; o++)
                for (size r = r0; r < r1; r++)
                    rows_gradient(source_row(&job->source, b, group * Og + o0 + o, r, copy), g.OW, tiles,
                                  gb + o * dy_channel + (r - r0) * tiles * L, g_step);
        }
        for (size f = 0; f < ROW_PRODUCTS; f++) {
            for (size b = b0; b < b1; b++)
                row[b - b0] =
                    (grad_row){g_tiles + f * g_step + (b - b0) * dy_block, x_tiles + f * x_step + (b - b0) * x_block};
            grad_tiles(b1 - b0, row, (r1 - r0) * tiles, dy_channel, L, O, f == 1 ? K : C * KH, C * KH, offset,
                       sums + f * Og * Cg * KH, Cg * KH, db);
        }
    }
    return 0;
}

/* The first `count` of L values. */
INLINE V load_part(const T *p, size count) {
    V v = {0};
    if (count == L) return loadu(p);
    memcpy(&v, p, (size_t)count * sizeof(T));
    return v;
}

/* All weights of output channel o: G^T of the sums. */
static int winograd_dw_last_task(void *context, ptrdiff_t o) {
    const winograd_dw_job *job = context;
    const geometry g = job->a->g;
    size Og = g.O / g.G, row = g.C / g.G * g.KH, step = Og * row;
    const T *sums = job->sums + o / Og * ROW_PRODUCTS * step + o % Og * row;
    T *dw = (T *)job->a->dw + o * row * 3;
    for (size k = 0; k < row; k += L) {
        size count = smaller(L, row - k);
        V p[ROW_PRODUCTS];
        for (size f = 0; f < ROW_PRODUCTS; f++) {
            p[f] = load_part(sums + f * step + k, count);
            for (size s = 1; s < job->shares; s++) p[f] += load_part(sums + s * job->share_step + f * step + k, count);
        }
        V w[3];
        weight_axis(ROW_OUT, p, w);
        for (size i = 0; i < count; i++) UNROLL for (int kw = 0; kw < 3; kw++) dw[(k + i) * 3 + kw] = w[kw][i];
    }
    return 0;
}

/* Vector operations for one block, counted: products, transforms of x, transforms of dy. */
INLINE size winograd_dw_cost(const geometry *g) {
    size C = g->C / g->G, O = g->O / g->G, o_chunks = ceil_div(O, DW_CHUNK), c_chunks = ceil_div(C, DW_CHUNK);
    return g->OH * ceil_div(g->OW, ROW_OUT) * (7 * g->KH * O * C + 36 * C * o_chunks + 24 * O * c_chunks);
}

static int winograd_dw(const conv_backward_args *a, const row_source *source) {
    const geometry g = a->g;
    size blocks = blocks_of(g.n), Cg = g.C / g.G, Og = g.O / g.G, tiles = ceil_div(g.OW, ROW_OUT);
    size rows_each = smaller(g.OH, ceil_div(DW_TILES, tiles)), row_bands = ceil_div(g.OH, rows_each);
    size blocks_each = smaller(larger(blocks, 1), larger(1, DW_TILES / (rows_each * tiles)));
    size bands = ceil_div(blocks, blocks_each) * row_bands;
    size products = g.O * Cg * g.KH * ROW_PRODUCTS, step = products + g.O,
         shares = grad_shares(bands, step * (size)sizeof(T));
    T *sums = pool_scratch(SCRATCH_CALL, (size_t)(shares * step) * sizeof(T));
    if (!sums) return -1;
    winograd_dw_job job = {
        .a = a,
        .source = *source,
        .c_chunks = ceil_div(Cg, DW_CHUNK),
        .o_chunks = ceil_div(Og, DW_CHUNK),
        .blocks_each = blocks_each,
        .rows_each = rows_each,
        .tiles = tiles,
        .row_bands = row_bands,
        .bands = bands,
        .shares = shares,
        .sums = sums,
        .db = a->db ? sums + products : NULL,
        .share_step = step,
    };
    size work = bands * DW_TILES * g.O * Cg * g.KH * ROW_PRODUCTS;
    if (pool_run(winograd_dw_task, &job, g.G * job.o_chunks * job.c_chunks * shares, work > PARALLEL_FROM)) return -1;
    if (pool_run(winograd_dw_last_task, &job, g.O, g.O * Cg * shares > PARALLEL_FROM / 16)) return -1;
    return a->db ? reduce(job.db, a->db, g.O, shares, step) : 0;
}

#endif
