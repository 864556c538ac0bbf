/* Direct convolution, forward: for every band of output rows the input is packed with its padding as
   [row][column][channel] and a register tile is swept over it; one channel into one is read where it stands. Twin:
   minidl/kernels/reference/conv.py. */
#ifndef MINIDL_LANES_CONV_FORWARD_H
#define MINIDL_LANES_CONV_FORWARD_H

#include "../../core/kernels.h"
#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../source.h"
#include "../sweep.h"
#include "window.h"

typedef struct {
    const conv_forward_args *a;
    row_source source;
    size bands, rows, columns; /* rows, columns of stored values */
    const T *weights;          /* packed, one group after another */
    int in_place;
    sweep_plan plan;
    window_axis high, wide;
} direct_forward_job;

static int direct_forward_task(void *context, ptrdiff_t task) {
    const direct_forward_job *job = context;
    const conv_forward_args *a = job->a;
    const geometry g = a->g;
    size band = task % job->bands, group = task / job->bands % g.G, block = task / job->bands / g.G;
    size r0 = band * job->rows / job->bands, r1 = (band + 1) * job->rows / job->bands, scale = a->pool ? 2 : 1;
    size C = g.C / g.G, M = g.O / g.G;
    size h0 = scale * r0 * g.SH - g.PH, h1 = (scale * r1 - 1) * g.SH - g.PH + (g.KH - 1) * g.DH + 1;
    size out = (((block * g.O + group * M) * job->rows + r0) * job->columns) * L;
    sweep_plan plan = job->plan;
    plan.rows = r1 - r0;
    plan.a = job->weights + group * M * C * g.KH * g.KW;
    plan.bias = a->b ? (const T *)a->b + group * M : NULL;
    if (job->in_place) {
        const T *in = (const T *)a->x + ((block * g.C + group) * g.H * g.W + h0 * g.W - g.PW) * L;
        sweep_window(&plan, &job->high, &job->wide, C, r0, r1, 0, job->columns, in, (T *)a->y + out);
        return 0;
    }
    size w0 = -g.PW, w1 = (scale * job->columns - 1) * g.SW - g.PW + (g.KW - 1) * g.DW + 1;
    size row_values = source_copies(&job->source) ? PACK_CHANNELS * g.W * L : 0;
    T *scratch = pool_scratch(SCRATCH_TASK, (size_t)((h1 - h0) * (w1 - w0) * C * L + row_values) * sizeof(T));
    if (!scratch) return -1;
    T *packed = scratch + row_values;
    pack_pixels(&job->source, block, group * C, C, h0, h1, w0, w1, scratch, packed);
    if (a->pool) sweep(&plan, packed, (T *)a->y + out, a->code ? a->code + out : NULL);
    else sweep_window(&plan, &job->high, &job->wide, C, r0, r1, 0, job->columns, packed, (T *)a->y + out);
    return 0;
}

static int direct_forward(const conv_forward_args *a) {
    const geometry g = a->g;
    size blocks = blocks_of(g.n), C = g.C / g.G, M = g.O / g.G;
    size rows = a->pool ? g.OH / 2 : g.OH, columns = a->pool ? g.OW / 2 : g.OW;
    row_source source = {.x = a->x, .C = g.C, .H = g.H, .W = g.W};
    size taps = g.KH * g.KW, weights = g.O * C * taps;
    size words = 2 * taps + g.KH + g.KW;
    T *scratch = pool_scratch(SCRATCH_CALL, (size_t)weights * sizeof(T) + (size_t)words * sizeof(size) + 64);
    if (!scratch) return -1;
    size *tap = (size *)scratch, *offset = tap + taps, *place_h = offset + taps, *place_w = place_h + g.KH;
    T *packed = (T *)(place_w + g.KW);

    int in_place = !a->pool && window_in_place(C, M, g.DW);
    size joined = g.DW == 1 ? g.KW : 1,
         row = in_place ? g.W : (columns * (a->pool ? 2 : 1) - 1) * g.SW + (g.KW - 1) * g.DW + 1;
    for (size k = 0; k < taps; k++) tap[k] = k;
    for (size k = 0; k < g.KH; k++) place_h[k] = k * g.DH - g.PH;
    for (size k = 0; k < g.KW; k++) place_w[k] = k * g.DW - g.PW;
    for (size r = 0; r < taps / joined; r++) {
        size kh = r * joined / g.KW, kw = r * joined % g.KW;
        offset[r] = (kh * g.DH * row + kw * g.DW) * C * L;
    }
    for (size group = 0; group < g.G; group++) {
        pack_weights_args p = {(const T *)a->w + group * M * C * taps,
                               packed + group * M * C * taps,
                               M,
                               C,
                               taps,
                               C * taps,
                               taps,
                               a->pool ? TILE_POOL_M : TILE_M,
                               tap};
        if (pack_weights(&p)) return -1;
    }
    size in_bytes = (rows * (a->pool ? 2 : 1) * g.SH + g.KH * g.DH) * row * C * VBYTES;
    size bands = smaller(rows, larger(ceil_div(32, blocks * g.G), ceil_div(in_bytes, 384 * 1024)));
    direct_forward_job job = {
        .a = a,
        .source = source,
        .bands = bands,
        .rows = rows,
        .columns = columns,
        .weights = packed,
        .in_place = in_place,
        .high = {g.SH, g.KH, g.H, place_h},
        .wide = {g.SW, g.KW, g.W, place_w},
        .plan = {.walk = {offset, taps / joined, joined * C, joined * C, L, 0, 0, 0},
                 .columns = columns,
                 .in_row = g.SH * row * C * L,
                 .in_column = g.SW * C * L,
                 .out_row = columns * L,
                 .out_column = L,
                 .M = M,
                 .m0 = 0,
                 .m1 = M,
                 .out_m = rows * columns * L,
                 .terms = taps * C,
                 .piece = joined * C,
                 .packed = 1,
                 .relu = a->relu,
                 .pool = a->pool},
    };
    size work = blocks * g.O * rows * columns * (a->pool ? 4 : 1) * C * taps;
    return pool_run(direct_forward_task, &job, blocks * g.G * bands, work > PARALLEL_FROM);
}

#endif
