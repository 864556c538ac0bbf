/* Weight and bias gradient of a convolution: dw[o, c, kh, kw] is the correlation of dy[o] with the shifted x[c].

   The batch is cut into bands of some rows of some blocks. A task takes a share of the bands and of the channels;
   shares depend on the sizes alone and their sums are added in order, so the result has the same bits for any number of
   threads. x is copied with its padding, band after band; db is the weight gradient of one more input channel that is
   all ones. */
#ifndef MINIDL_LANES_CONV_DW_H
#define MINIDL_LANES_CONV_DW_H

#include <string.h>

#include "../../core/kernels.h"
#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/vector.h"
#include "../source.h"
#include "gradient_tile.h"
#include "shares.h"

enum { BAND_PIXELS = 64 }; /* more where a tile has fewer channels */

typedef struct {
    const conv_backward_args *a;
    row_source source;
    grad_deal deal;
    grad_bands bands;
    size columns; /* of the padded copy of x */
    T *dw, *db;   /* of the first share; db is O values, or NULL */
    size share_step;
} direct_dw_job;

/* What a task works on: its channels, the copies of a band, and its sums. */
typedef struct {
    grad_part part;
    size taps, K;          /* of a channel of x; of all, with one more for db */
    size channel, x_block; /* from one channel of the copy of x to the next, from one block to the next */
    size dy_block;         /* likewise of dy; 0 where dy is read where it stands */
    size *offset;          /* K: from the start of a block's copy of x */
    grad_row *row;         /* of a band */
    T *x, *dy, *dw, *db;   /* db NULL: another task sums it */
} direct_dw_chunk;

/* Rows [h0, h1) of one channel, padded to columns [-PW, columns - PW). */
static void pad_channel(const geometry *g, const T *x, size h0, size h1, size columns, T *dst) {
    size inside = smaller(g->W, columns - g->PW);
    for (size h = h0; h < h1; h++, dst += columns * L) {
        if (h < 0 || h >= g->H || inside <= 0) {
            memset(dst, 0, (size_t)columns * VBYTES);
            continue;
        }
        memset(dst, 0, (size_t)g->PW * VBYTES);
        memcpy(dst + g->PW * L, x + h * g->W * L, (size_t)inside * VBYTES);
        memset(dst + (g->PW + inside) * L, 0, (size_t)(columns - g->PW - inside) * VBYTES);
    }
}

/* Memory and offsets of a task, and its sums at zero. */
static int direct_dw_begin(const direct_dw_job *job, ptrdiff_t task, direct_dw_chunk *k) {
    const geometry g = job->a->g;
    const grad_part p = k->part = grad_part_of(&job->deal, task);
    size Cg = g.C / g.G, o0 = p.group * (g.O / g.G) + p.o0, blocks = job->bands.blocks_each,
         rows = job->bands.rows_each;
    int with_db = job->db && p.c0 == 0;
    k->taps = g.KH * g.KW;
    k->K = p.C * k->taps + with_db;
    k->channel = ((rows - 1) * g.SH + (g.KH - 1) * g.DH + 1) * job->columns * L;
    k->x_block = (p.C + with_db) * k->channel;
    k->dy_block = source_copies(&job->source) ? p.O * rows * g.OW * L : 0;
    size floats = blocks * (k->x_block + k->dy_block);
    k->x = pool_scratch(SCRATCH_TASK, (size_t)(floats * (size)sizeof(T)) + (size_t)k->K * sizeof(size) +
                                          (size_t)(blocks * rows) * sizeof(grad_row));
    if (!k->x) return -1;
    k->dy = k->x + blocks * k->x_block;
    k->offset = (size *)(k->x + floats);
    k->row = (grad_row *)(k->offset + k->K);
    for (size c = 0, at = 0; c < p.C; c++)
        for (size kh = 0; kh < g.KH; kh++)
            for (size kw = 0; kw < g.KW; kw++)
                k->offset[at++] = c * k->channel + (kh * g.DH * job->columns + kw * g.DW) * L;
    k->dw = job->dw + p.share * job->share_step + (o0 * Cg + p.c0) * k->taps;
    for (size o = 0; o < p.O; o++) memset(k->dw + o * Cg * k->taps, 0, (size_t)(p.C * k->taps) * sizeof(T));
    k->db = with_db ? job->db + p.share * job->share_step + o0 : NULL;
    if (!with_db) return 0;
    k->offset[p.C * k->taps] = p.C * k->channel;
    memset(k->db, 0, (size_t)p.O * sizeof(T));
    for (size b = 0; b < blocks; b++) fill_ones(k->x + b * k->x_block + p.C * k->channel, k->channel / L);
    return 0;
}

/* The rows of x that block b of a band needs, with their padding, zeros in empty lanes. */
static void direct_dw_copy_x(const direct_dw_job *job, const direct_dw_chunk *k, const grad_band *at, size b) {
    const geometry g = job->a->g;
    size h0 = at->r0 * g.SH - g.PH, h1 = h0 + (at->r1 - at->r0 - 1) * g.SH + (g.KH - 1) * g.DH + 1;
    size first = b * g.C + k->part.group * (g.C / g.G) + k->part.c0;
    T *out = k->x + (b - at->b0) * k->x_block;
    for (size c = 0; c < k->part.C; c++)
        pad_channel(&g, (const T *)job->a->x + (first + c) * g.H * g.W * L, h0, h1, job->columns, out + c * k->channel);
    if (b == job->bands.blocks - 1 && g.n % L) mask_lanes(out, k->part.C * k->channel / L, lanes_below(g.n % L));
}

/* Where the tile finds the rows of block b: dy where it stands, or made in a copy. */
static void direct_dw_find_rows(const direct_dw_job *job, const direct_dw_chunk *k, const grad_band *at, size b) {
    const geometry g = job->a->g;
    size rows = at->r1 - at->r0, o0 = k->part.group * (g.O / g.G) + k->part.o0;
    const T *x = k->x + (b - at->b0) * k->x_block;
    T *copy = k->dy + (b - at->b0) * k->dy_block;
    grad_row *row = k->row + (b - at->b0) * rows;
    for (size r = 0; r < rows; r++) {
        row[r].x = x + r * g.SH * job->columns * L;
        row[r].dy =
            k->dy_block ? copy + r * g.OW * L : (const T *)job->a->dy + ((b * g.O + o0) * g.OH + at->r0 + r) * g.OW * L;
        if (!k->dy_block) continue;
        for (size o = 0; o < k->part.O; o++)
            source_row(&job->source, b, o0 + o, at->r0 + r, copy + (o * job->bands.rows_each + r) * g.OW * L);
    }
}

static int direct_dw_task(void *context, ptrdiff_t task) {
    const direct_dw_job *job = context;
    const geometry g = job->a->g;
    direct_dw_chunk k;
    if (direct_dw_begin(job, task, &k)) return -1;
    size dy_channel = (k.dy_block ? job->bands.rows_each : g.OH) * g.OW * L, real = k.part.C * k.taps;
    size band = share_start(&job->bands, k.part.share, job->deal.shares);
    size end = share_start(&job->bands, k.part.share + 1, job->deal.shares);
    for (; band < end; band++) {
        grad_band at = band_at(&job->bands, band);
        for (size b = at.b0; b < at.b1; b++) {
            direct_dw_copy_x(job, &k, &at, b);
            direct_dw_find_rows(job, &k, &at, b);
        }
        grad_tiles((at.b1 - at.b0) * (at.r1 - at.r0), k.row, g.OW, dy_channel, g.SW * L, k.part.O, k.K, real, k.offset,
                   k.dw, g.C / g.G * k.taps, k.db);
    }
    return 0;
}

static int direct_dw(const conv_backward_args *a, const row_source *source) {
    const geometry g = a->g;
    size blocks = blocks_of(g.n), Cg = g.C / g.G, Og = g.O / g.G, taps = g.KH * g.KW;
    size columns = (g.OW - 1) * g.SW + (g.KW - 1) * g.DW + 1, weights = g.O * Cg * taps, step = weights + g.O;
    /* A band: enough pixels to make the sums over lanes rare, few enough to keep a tile's rows of dy in the first
       cache; several blocks where one has fewer. */
    size pixels = BAND_PIXELS * GRAD_M / smaller(GRAD_M, Og);
    grad_bands bands = {.blocks = blocks, .rows = g.OH, .rows_each = smaller(g.OH, ceil_div(pixels, g.OW))};
    bands.blocks_each = smaller(larger(blocks, 1), ceil_div(pixels, bands.rows_each * g.OW));
    grad_deal deal = {.groups = g.G, .C = Cg, .O = Og};
    deal.shares = grad_shares(band_count(&bands), step * (size)sizeof(T));
    /* At least a tile's width of input channels for each task, which shares no copy of x with another. */
    size tasks = ceil_div(GRAD_TASKS, g.G * deal.shares);
    deal.c_chunks = smaller(smaller(Cg, larger(1, Cg * taps / (2 * GRAD_P))), tasks);
    deal.o_chunks = smaller(ceil_div(Og, GRAD_M), ceil_div(GRAD_TASKS, g.G * deal.shares * deal.c_chunks));
    T *partial = deal.shares > 1 ? pool_scratch(SCRATCH_CALL, (size_t)(deal.shares * step) * sizeof(T)) : NULL;
    if (deal.shares > 1 && !partial) return -1;
    direct_dw_job job = {
        .a = a,
        .source = *source,
        .deal = deal,
        .bands = bands,
        .columns = columns,
        .dw = partial ? partial : a->dw,
        .db = !a->db    ? NULL
              : partial ? partial + weights
                        : a->db,
        .share_step = step,
    };
    size work = band_count(&bands) * pixels * weights;
    if (pool_run(direct_dw_task, &job, grad_tasks(&deal), work > PARALLEL_FROM)) return -1;
    if (!partial) return 0;
    if (reduce(partial, a->dw, weights, deal.shares, step)) return -1;
    return a->db ? reduce(partial + weights, a->db, g.O, deal.shares, step) : 0;
}

#endif
