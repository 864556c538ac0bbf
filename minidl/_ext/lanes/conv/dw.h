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
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../source.h"
#include "gradient_tile.h"
#include "shares.h"
#include "winograd_dw.h"
#include "winograd_dw2d.h"

enum { BAND_PIXELS = 64 }; /* more where a tile has fewer channels */

typedef struct {
    const conv_backward_args *a;
    row_source source;
    size o_chunks, c_chunks;              /* of each group */
    size blocks_each, rows_each, columns; /* of a band: blocks, rows of dy; columns of the padded copy of x */
    size row_bands, bands, shares;
    T *dw, *db; /* of the first share; db is O values, or NULL */
    size share_step;
} conv_dw_job;

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

static int conv_dw_task(void *context, ptrdiff_t task) {
    const conv_dw_job *job = context;
    const conv_backward_args *a = job->a;
    const geometry g = a->g;
    size Cg = g.C / g.G, Og = g.O / g.G, blocks = blocks_of(g.n), taps = g.KH * g.KW;
    grad_part part = grad_part_of(task, g.G, job->o_chunks, job->c_chunks);
    size share = part.share, group = part.group;
    size c0 = tile_start(Cg, job->c_chunks, part.c_chunk), C = tile_start(Cg, job->c_chunks, part.c_chunk + 1) - c0;
    size o0 = tile_start(Og, job->o_chunks, part.o_chunk), O = tile_start(Og, job->o_chunks, part.o_chunk + 1) - o0;
    o0 += group * Og;
    int with_db = job->db && part.c_chunk == 0;
    size K = C * taps + with_db, columns = job->columns;
    int copies = source_copies(&job->source);

    size high = (job->rows_each - 1) * g.SH + (g.KH - 1) * g.DH + 1, channel = high * columns * L;
    size x_block = (C + with_db) * channel, dy_block = copies ? O * job->rows_each * g.OW * L : 0;
    size floats = job->blocks_each * (x_block + dy_block);
    T *x_copy = pool_scratch(SCRATCH_TASK, (size_t)(floats * (size)sizeof(T)) + (size_t)K * sizeof(size) +
                                               (size_t)(job->blocks_each * job->rows_each) * sizeof(grad_row));
    if (!x_copy) return -1;
    T *dy_copy = x_copy + job->blocks_each * x_block;
    size *offset = (size *)(x_copy + floats);
    grad_row *row = (grad_row *)(offset + K);
    for (size k = 0; k < C * taps; k++)
        offset[k] = k / taps * channel + (k / g.KW % g.KH * g.DH * columns + k % g.KW * g.DW) * L;
    if (with_db) offset[C * taps] = C * channel;

    T *dw = job->dw + share * job->share_step + (o0 * Cg + c0) * taps,
      *db = with_db ? job->db + share * job->share_step + o0 : NULL;
    for (size o = 0; o < O; o++) memset(dw + o * Cg * taps, 0, (size_t)(C * taps) * sizeof(T));
    if (with_db) memset(db, 0, (size_t)O * sizeof(T));
    if (with_db)
        for (size b = 0; b < job->blocks_each; b++)
            for (size i = 0; i < channel; i += L) store(x_copy + b * x_block + C * channel + i, splat(1));
    for (size band = share * job->bands / job->shares; band < (share + 1) * job->bands / job->shares; band++) {
        size b0 = band / job->row_bands * job->blocks_each, b1 = smaller(blocks, b0 + job->blocks_each);
        size r0 = band % job->row_bands * job->rows_each, r1 = smaller(g.OH, r0 + job->rows_each);
        size rows = 0, h0 = r0 * g.SH - g.PH;
        for (size b = b0; b < b1; b++) {
            T *xb = x_copy + (b - b0) * x_block, *dyb = dy_copy + (b - b0) * dy_block;
            for (size c = 0; c < C; c++) {
                const T *x = (const T *)a->x + ((b * g.C + group * Cg + c0 + c) * g.H) * g.W * L;
                size h1 = h0 + (r1 - r0 - 1) * g.SH + (g.KH - 1) * g.DH + 1;
                pad_channel(&g, x, h0, h1, columns, xb + c * channel);
            }
            if (b == blocks - 1 && g.n % L) mask_lanes(xb, C * channel / L, lanes_below(g.n % L));
            for (size r = r0; r < r1; r++, rows++) {
                row[rows].x = xb + (r - r0) * g.SH * columns * L;
                row[rows].dy =
                    copies ? dyb + (r - r0) * g.OW * L : (const T *)a->dy + ((b * g.O + o0) * g.OH + r) * g.OW * L;
                if (!copies) continue;
                for (size o = 0; o < O; o++)
                    source_row(&job->source, b, o0 + o, r, dyb + (o * job->rows_each + r - r0) * g.OW * L);
            }
        }
        size dy_channel = (copies ? job->rows_each : g.OH) * g.OW * L;
        grad_tiles(rows, row, g.OW, dy_channel, g.SW * L, O, K, C * taps, offset, dw, Cg * taps, db);
    }
    return 0;
}

static int conv_dw(const conv_backward_args *a, const row_source *source) {
    const geometry g = a->g;
    size blocks = blocks_of(g.n), Cg = g.C / g.G, Og = g.O / g.G, taps = g.KH * g.KW;
    if (!g.O || !Cg) return 0;
    if (blocks && rows_of_three(&g)) {
        size direct = 3 * g.KH * g.OH * g.OW * Og * Cg, along_rows = winograd_dw_cost(&g);
        size m = a->winograd == 4 && winograd_dw2d_cost(&g, 4) < winograd_dw2d_cost(&g, 2) ? 4 : 2;
        if (g.KH == 3 && winograd_dw2d_cost(&g, m) < smaller(direct, along_rows)) return winograd_dw2d(a, source, m);
        if (along_rows < direct) return winograd_dw(a, source);
    }
    size columns = (g.OW - 1) * g.SW + (g.KW - 1) * g.DW + 1, weights = g.O * Cg * taps;
    /* A band: enough pixels to make the sums over lanes rare, few enough to keep a tile's rows of dy in the first
       cache; several blocks where one has fewer. */
    size pixels = BAND_PIXELS * GRAD_M / smaller(GRAD_M, Og);
    size rows_each = smaller(g.OH, ceil_div(pixels, g.OW)), row_bands = ceil_div(g.OH, rows_each);
    size blocks_each = smaller(larger(blocks, 1), ceil_div(pixels, rows_each * g.OW));
    size bands = ceil_div(blocks, blocks_each) * row_bands, step = weights + g.O;
    size shares = grad_shares(bands, step * (size)sizeof(T));
    /* At least a tile's width of input channels for each task, which shares no copy of x with another. */
    size c_chunks = smaller(smaller(Cg, larger(1, Cg * taps / (2 * GRAD_P))), ceil_div(GRAD_TASKS, g.G * shares));
    size o_chunks = smaller(ceil_div(Og, GRAD_M), ceil_div(GRAD_TASKS, g.G * shares * c_chunks));
    T *partial = shares > 1 ? pool_scratch(SCRATCH_CALL, (size_t)(shares * step) * sizeof(T)) : NULL;
    if (shares > 1 && !partial) return -1;
    conv_dw_job job = {
        .a = a,
        .source = *source,
        .o_chunks = o_chunks,
        .c_chunks = c_chunks,
        .blocks_each = blocks_each,
        .rows_each = rows_each,
        .columns = columns,
        .row_bands = row_bands,
        .bands = bands,
        .shares = shares,
        .dw = partial ? partial : a->dw,
        .db = !a->db    ? NULL
              : partial ? partial + weights
                        : a->db,
        .share_step = step,
    };
    if (pool_run(conv_dw_task, &job, g.G * o_chunks * c_chunks * shares, bands * pixels * weights > PARALLEL_FROM))
        return -1;
    if (!partial) return 0;
    if (reduce(partial, a->dw, weights, shares, step)) return -1;
    return a->db ? reduce(partial + weights, a->db, g.O, shares, step) : 0;
}

#endif
