/* Input gradient of a convolution: dx is itself a convolution of dy with the transposed kernel.

   With stride S, the pixel ih takes part in output oh through tap kh if ih + P = oh*S + kh*D. Pixels of one phase (ih +
   P) mod S share their taps: with ih = q*S - P + phase, oh = q - t and t = (kh*D - phase) / S. Every phase is a
   stride-1 sweep of its own taps over the packed dy. */
#ifndef MINIDL_LANES_CONV_DX_H
#define MINIDL_LANES_CONV_DX_H

#include <stdint.h>

#include "../../core/kernels.h"
#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../source.h"
#include "../sweep.h"
#include "window.h"

typedef struct {
    size taps, *k, *place; /* taps of a phase; q + place is the oh that one meets, and rises */
} phase_taps;

static void find_taps(size K, size S, size D, size phase, phase_taps *p) {
    p->taps = 0;
    for (size k = K - 1; k >= 0; k--) {
        if ((k * D) % S != phase) continue;
        p->k[p->taps] = k;
        p->place[p->taps++] = (phase - k * D) / S;
    }
}

typedef struct {
    const conv_backward_args *a;
    row_source source;
    size bands, w0, w1; /* columns of dy that are packed */
    phase_taps *high, *wide;
    const T **weights; /* packed, by (phase, phase, group) */
} direct_dx_job;

/* The rows q0..q1 of a phase that lie in [i0, i1), and the range of dy that their taps reach. */
INLINE void phase_range(size i0, size i1, size P, size S, size phase, const phase_taps *p, size *q0, size *q1,
                        size *low, size *high) {
    *q0 = ceil_div(i0 + P - phase, S);
    *q1 = ceil_div(i1 + P - phase, S);
    if (*q1 > *q0 && p->taps) {
        *low = smaller(*low, *q0 + p->place[0]);
        *high = larger(*high, *q1 + p->place[p->taps - 1]);
    }
}

static int direct_dx_task(void *context, ptrdiff_t task) {
    const direct_dx_job *job = context;
    const geometry g = job->a->g;
    size band = task % job->bands, group = task / job->bands % g.G, block = task / job->bands / g.G;
    size i0 = band * g.H / job->bands, i1 = (band + 1) * g.H / job->bands;
    size C = g.C / g.G, R = g.O / g.G, columns = job->w1 - job->w0;
    size h0 = PTRDIFF_MAX, h1 = PTRDIFF_MIN, q0, q1;
    for (size p = 0; p < g.SH; p++) phase_range(i0, i1, g.PH, g.SH, p, &job->high[p], &q0, &q1, &h0, &h1);
    if (h1 < h0) h0 = h1 = 0;
    int copies = source_copies(&job->source), in_place = !copies && window_in_place(R, C, g.DW);
    if (in_place) columns = g.OW;
    size row_values = copies ? PACK_CHANNELS * g.OW * L : 0, offsets = g.KH * g.KW;
    size values = row_values + (in_place ? 0 : (h1 - h0) * columns * R * L);
    size *offset = pool_scratch(SCRATCH_TASK, (size_t)values * sizeof(T) + (size_t)offsets * sizeof(size) + 2 * VBYTES);
    if (!offset) return -1;
    T *rows = (T *)(((uintptr_t)(offset + offsets) + VBYTES - 1) & ~(uintptr_t)(VBYTES - 1));
    T *packed = rows + row_values;
    if (!in_place) pack_pixels(&job->source, block, group * R, R, h0, h1, job->w0, job->w1, rows, packed);
    const T *dy = in_place ? (const T *)job->source.x + (block * g.O + group) * g.OH * g.OW * L
                           : packed - (h0 * columns + job->w0) * R * L; /* pixel (0, 0) */

    T *dx = (T *)job->a->dx + (block * g.C + group * C) * g.H * g.W * L;
    for (size ph = 0; ph < g.SH; ph++) {
        const phase_taps *high = &job->high[ph];
        size ignored_low = 0, ignored_high = 0;
        phase_range(i0, i1, g.PH, g.SH, ph, high, &q0, &q1, &ignored_low, &ignored_high);
        for (size pw = 0; pw < g.SW; pw++) {
            const phase_taps *wide = &job->wide[pw];
            size p0, p1;
            phase_range(0, g.W, g.PW, g.SW, pw, wide, &p0, &p1, &ignored_low, &ignored_high);
            if (q1 <= q0 || p1 <= p0) continue;
            int joins = wide->taps > 1 && wide->place[1] - wide->place[0] == 1;
            size joined = joins ? wide->taps : 1, runs = high->taps * wide->taps / joined;
            for (size r = 0; r < runs; r++) {
                size i = r * joined / wide->taps, j = r * joined % wide->taps;
                offset[r] = (high->place[i] * columns + wide->place[j]) * R * L;
            }
            sweep_plan plan = {
                .walk = {offset, runs, joined * R, joined * R, L, 0, 0, 0},
                .in_row = columns * R * L,
                .in_column = R * L,
                .out_row = g.SH * g.W * L,
                .out_column = g.SW * L,
                .M = C,
                .m0 = 0,
                .m1 = C,
                .out_m = g.H * g.W * L,
                .a = job->weights[(ph * g.SW + pw) * g.G + group],
                .packed = 1,
                .bias = job->a->dx_start ? (const T *)job->a->dx_start + group * C : NULL,
                .terms = high->taps * wide->taps * R,
                .piece = joined * R,
            };
            window_axis rows_of = {1, high->taps, g.OH, high->place}, columns_of = {1, wide->taps, g.OW, wide->place};
            sweep_window(&plan, &rows_of, &columns_of, R, q0, q1, p0, p1, dy + (q0 * columns + p0) * R * L,
                         dx + ((q0 * g.SH - g.PH + ph) * g.W + p0 * g.SW - g.PW + pw) * L);
        }
    }
    return 0;
}

static int direct_dx(const conv_backward_args *a, const row_source *source) {
    const geometry g = a->g;
    size blocks = blocks_of(g.n), C = g.C / g.G, R = g.O / g.G, weights = g.O * C * g.KH * g.KW;
    size words = 2 * (g.SH * g.KH + g.SW * g.KW) + g.KH * g.KW;
    size bytes = (g.SH + g.SW) * sizeof(phase_taps) + words * sizeof(size) + g.SH * g.SW * g.G * sizeof(T *);
    T *packed = pool_scratch(SCRATCH_CALL, (size_t)(weights * (size)sizeof(T) + 64 + bytes));
    if (!packed) return -1;
    phase_taps *high = (phase_taps *)(((uintptr_t)(packed + weights) + 63) & ~(uintptr_t)63), *wide = high + g.SH;
    size *word = (size *)(wide + g.SW), *tap = word + 2 * (g.SH * g.KH + g.SW * g.KW);
    const T **weight = (const T **)(tap + g.KH * g.KW);
    for (size p = 0; p < g.SH; p++, word += 2 * g.KH) {
        high[p] = (phase_taps){0, word, word + g.KH};
        find_taps(g.KH, g.SH, g.DH, p, &high[p]);
    }
    size w0 = PTRDIFF_MAX, w1 = PTRDIFF_MIN, q0, q1;
    for (size p = 0; p < g.SW; p++, word += 2 * g.KW) {
        wide[p] = (phase_taps){0, word, word + g.KW};
        find_taps(g.KW, g.SW, g.DW, p, &wide[p]);
        phase_range(0, g.W, g.PW, g.SW, p, &wide[p], &q0, &q1, &w0, &w1);
    }
    if (w1 < w0) w0 = w1 = 0;
    for (size ph = 0; ph < g.SH; ph++) {
        for (size pw = 0; pw < g.SW; pw++) {
            size taps = 0;
            for (size i = 0; i < high[ph].taps; i++)
                for (size j = 0; j < wide[pw].taps; j++) tap[taps++] = high[ph].k[i] * g.KW + wide[pw].k[j];
            for (size group = 0; group < g.G; group++) {
                const T *w = (const T *)a->w + group * R * C * g.KH * g.KW;
                pack_weights_args p = {w, packed, C, R, taps, g.KH * g.KW, C * g.KH * g.KW, TILE_M, tap};
                if (pack_weights(&p)) return -1;
                weight[(ph * g.SW + pw) * g.G + group] = packed;
                packed += C * R * taps;
            }
        }
    }
    size in_bytes = ceil_div(g.H, g.SH) * (w1 - w0) * R * VBYTES;
    size bands = smaller(ceil_div(g.H, g.SH), larger(ceil_div(32, blocks * g.G), ceil_div(in_bytes, 384 * 1024)));
    direct_dx_job job = {a, *source, bands, w0, w1, high, wide, weight};
    size work = blocks * C * g.OH * g.OW * g.O * g.KH * g.KW;
    return pool_run(direct_dx_task, &job, blocks * g.G * bands, work > PARALLEL_FROM);
}

#endif
