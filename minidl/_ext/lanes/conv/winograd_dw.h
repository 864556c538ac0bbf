/* Weight gradient of a convolution three columns wide, stride 1, by the transpose of Winograd's F(4, 3) along rows: 6
   products for 4 neighbours of dy where the direct sum takes 12.

   dw[kh] = G^T [sum over tiles of (A dy) * (B^T x[. + kh])], with the matrices of core/winograd.h along one axis: for
   few channels, or a kernel that is not three rows high, where both axes (winograd_dw2d.h) do not pay. The tiles are
   dealt to tasks as the bands of dw.h are. db is the sum of the tiles' sums, which stand behind the products of dy. */
#ifndef MINIDL_LANES_CONV_WINOGRAD_DW_H
#define MINIDL_LANES_CONV_WINOGRAD_DW_H

#include <string.h>

#include "../../core/kernels.h"
#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../../core/winograd.h"
#include "../source.h"
#include "gradient_tile.h"
#include "shares.h"

enum { ROW_OUT = 4, ROW_PRODUCTS = 6 }; /* of a tile */
enum { DW_CHUNK = 32, DW_TILES = 24 };  /* channels of a task; tiles of a band, at least, where there are as many */

typedef struct {
    const conv_backward_args *a;
    row_source source;
    grad_deal deal;
    grad_bands bands;
    size tiles;   /* of a row */
    T *sums, *db; /* of the first share: [group][product][o][c][kh]; db is O values, or NULL */
    size share_step;
} winograd_dw_job;

/* What a task works on: its channels, the products of a band, and its sums. */
typedef struct {
    grad_part part;
    size real, K;            /* sums of a product and output channel; with one more, of db, which has its own tile */
    size x_channel, x_block; /* from one channel of a product of x to the next, from one block to the next */
    size dy_channel, dy_block;
    size x_step, dy_step; /* from one product to the next */
    size *offset;         /* K: from the start of a block's product of x */
    grad_row *row;        /* of a band */
    T *x, *dy, *copy;     /* copy: a row of dy */
    T *sums, *db;         /* db NULL: another task sums it */
} winograd_dw_chunk;

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

/* A dy of the tiles of a row: product f of tile t at out + f * f_step + t * L, and behind the last one its sum. */
INLINE void rows_gradient(const T *row, size W, size tiles, T *out, size f_step) {
    for (size t = 0; t < tiles; t++, out += L) {
        V d[ROW_OUT];
        UNROLL for (int j = 0; j < ROW_OUT; j++) d[j] =
            ROW_OUT * t + j < W ? load(row + (ROW_OUT * t + j) * L) : (V){0};
        V a[ROW_PRODUCTS];
        gradient_axis(ROW_OUT, d, a);
        UNROLL for (int f = 0; f < ROW_PRODUCTS; f++) store(out + f * f_step, a[f]);
        store(out + ROW_PRODUCTS * f_step, d[0] + d[1] + (d[2] + d[3]));
    }
}

/* Memory and offsets of a task, and its sums at zero. */
static int winograd_dw_begin(const winograd_dw_job *job, ptrdiff_t task, winograd_dw_chunk *k) {
    const geometry g = job->a->g;
    const grad_part p = k->part = grad_part_of(&job->deal, task);
    size Cg = g.C / g.G, Og = g.O / g.G, KH = g.KH, row = job->tiles * L, blocks = job->bands.blocks_each;
    int with_db = job->db && p.c0 == 0;
    k->real = p.C * KH;
    k->K = k->real + with_db;
    k->x_channel = (job->bands.rows_each + KH - 1) * row;
    k->x_block = (p.C + with_db) * k->x_channel;
    k->dy_channel = job->bands.rows_each * row;
    k->dy_block = p.O * k->dy_channel;
    /* One vector more each, so that the products do not fall on one set of the cache. */
    k->x_step = blocks * k->x_block + L;
    k->dy_step = blocks * k->dy_block + L;
    size floats =
        ROW_PRODUCTS * k->x_step + (ROW_PRODUCTS + 1) * k->dy_step + (source_copies(&job->source) ? g.OW * L : 0);
    k->x = pool_scratch(SCRATCH_TASK,
                        (size_t)floats * sizeof(T) + (size_t)k->K * sizeof(size) + (size_t)blocks * sizeof(grad_row));
    if (!k->x) return -1;
    k->dy = k->x + ROW_PRODUCTS * k->x_step;
    k->copy = k->dy + (ROW_PRODUCTS + 1) * k->dy_step;
    k->offset = (size *)(k->x + floats);
    k->row = (grad_row *)(k->offset + k->K);
    for (size i = 0; i < k->K; i++) k->offset[i] = i / KH * k->x_channel + i % KH * row;
    k->sums = job->sums + p.share * job->share_step + (p.group * ROW_PRODUCTS * Og + p.o0) * Cg * KH + p.c0 * KH;
    for (size f = 0; f < ROW_PRODUCTS; f++)
        for (size o = 0; o < p.O; o++) memset(k->sums + (f * Og + o) * Cg * KH, 0, (size_t)k->real * sizeof(T));
    k->db = with_db ? job->db + p.share * job->share_step + p.group * Og + p.o0 : NULL;
    if (!with_db) return 0;
    memset(k->db, 0, (size_t)p.O * sizeof(T));
    for (size b = 0; b < blocks; b++) fill_ones(k->x + b * k->x_block + p.C * k->x_channel, k->x_channel / L);
    return 0;
}

/* The products of the rows of x that block b of a band needs, zeros outside of the image and in empty lanes. */
static void winograd_dw_inputs(const winograd_dw_job *job, const winograd_dw_chunk *k, const grad_band *at, size b) {
    const geometry g = job->a->g;
    size row = job->tiles * L, plane = g.H * g.W * L;
    const T *x = (const T *)job->a->x + (b * g.C + k->part.group * (g.C / g.G) + k->part.c0) * plane;
    T *to = k->x + (b - at->b0) * k->x_block;
    for (size c = 0; c < k->part.C; c++, x += plane) {
        T *out = to + c * k->x_channel;
        for (size h = at->r0 - g.PH; h < at->r1 + g.KH - 1 - g.PH; h++, out += row) {
            if (h >= 0 && h < g.H) rows_input(x + h * g.W * L, plane, g.W, g.PW, job->tiles, out, k->x_step);
            else
                for (size f = 0; f < ROW_PRODUCTS; f++) memset(out + f * k->x_step, 0, (size_t)row * sizeof(T));
        }
    }
    if (b < job->bands.blocks - 1 || g.n % L == 0) return;
    for (size f = 0; f < ROW_PRODUCTS; f++)
        mask_lanes(to + f * k->x_step, k->part.C * k->x_channel / L, lanes_below(g.n % L));
}

/* The products of the rows of dy of block b of a band. */
static void winograd_dw_gradients(const winograd_dw_job *job, const winograd_dw_chunk *k, const grad_band *at, size b) {
    const geometry g = job->a->g;
    T *to = k->dy + (b - at->b0) * k->dy_block;
    for (size o = 0; o < k->part.O; o++) {
        size channel = k->part.group * (g.O / g.G) + k->part.o0 + o;
        for (size r = at->r0; r < at->r1; r++)
            rows_gradient(source_row(&job->source, b, channel, r, k->copy), g.OW, job->tiles,
                          to + o * k->dy_channel + (r - at->r0) * job->tiles * L, k->dy_step);
    }
}

/* One product after another: the sums over all tiles of a band. */
static void winograd_dw_sums(const winograd_dw_job *job, const winograd_dw_chunk *k, const grad_band *at) {
    const geometry g = job->a->g;
    size blocks = at->b1 - at->b0, sums_row = g.C / g.G * g.KH, length = (at->r1 - at->r0) * job->tiles;
    for (size f = 0; f < ROW_PRODUCTS; f++) {
        for (size b = 0; b < blocks; b++)
            k->row[b] = (grad_row){k->dy + f * k->dy_step + b * k->dy_block, k->x + f * k->x_step + b * k->x_block};
        grad_tiles(blocks, k->row, length, k->dy_channel, L, k->part.O, k->real, k->real, k->offset,
                   k->sums + f * (g.O / g.G) * sums_row, sums_row, NULL);
    }
    if (!k->db) return;
    for (size b = 0; b < blocks; b++)
        k->row[b] = (grad_row){k->dy + ROW_PRODUCTS * k->dy_step + b * k->dy_block, k->x + b * k->x_block};
    grad_tiles(blocks, k->row, length, k->dy_channel, L, k->part.O, 1, 0, k->offset + k->real, NULL, 0, k->db);
}

static int winograd_dw_task(void *context, ptrdiff_t task) {
    const winograd_dw_job *job = context;
    winograd_dw_chunk k;
    if (winograd_dw_begin(job, task, &k)) return -1;
    size band = share_start(&job->bands, k.part.share, job->deal.shares);
    size end = share_start(&job->bands, k.part.share + 1, job->deal.shares);
    for (; band < end; band++) {
        grad_band at = band_at(&job->bands, band);
        for (size b = at.b0; b < at.b1; b++) {
            winograd_dw_inputs(job, &k, &at, b);
            winograd_dw_gradients(job, &k, &at, b);
        }
        winograd_dw_sums(job, &k, &at);
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
            for (size s = 1; s < job->deal.shares; s++)
                p[f] += load_part(sums + s * job->share_step + f * step + k, count);
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
    grad_bands bands = {.blocks = blocks, .rows = g.OH, .rows_each = smaller(g.OH, ceil_div(DW_TILES, tiles))};
    bands.blocks_each = smaller(larger(blocks, 1), larger(1, DW_TILES / (bands.rows_each * tiles)));
    size products = g.O * Cg * g.KH * ROW_PRODUCTS, step = products + g.O;
    grad_deal deal = {
        .groups = g.G, .C = Cg, .O = Og, .c_chunks = ceil_div(Cg, DW_CHUNK), .o_chunks = ceil_div(Og, DW_CHUNK)};
    deal.shares = grad_shares(band_count(&bands), step * (size)sizeof(T));
    T *sums = pool_scratch(SCRATCH_CALL, (size_t)(deal.shares * step) * sizeof(T));
    if (!sums) return -1;
    winograd_dw_job job = {
        .a = a,
        .source = *source,
        .deal = deal,
        .bands = bands,
        .tiles = tiles,
        .sums = sums,
        .db = a->db ? sums + products : NULL,
        .share_step = step,
    };
    size work = band_count(&bands) * DW_TILES * products;
    if (pool_run(winograd_dw_task, &job, grad_tasks(&deal), work > PARALLEL_FROM)) return -1;
    if (pool_run(winograd_dw_last_task, &job, g.O, g.O * Cg * deal.shares > PARALLEL_FROM / 16)) return -1;
    return a->db ? reduce(job.db, a->db, g.O, deal.shares, step) : 0;
}

#endif
