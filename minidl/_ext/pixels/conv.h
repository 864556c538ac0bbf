/* Direct convolution of pixel arrays: vectors hold neighbouring pixels of one image.

   The rows that a band of outputs needs are copied with their padding, and with a stride parted into its phases, so
   that output pixel p of the flattened copy reads p + offset[tap] for every tap: a row's end runs on into the next row,
   and what is computed between them is thrown away. The sums go to a buffer, then through relu and pooling to y. */
#ifndef MINIDL_PIXELS_CONV_H
#define MINIDL_PIXELS_CONV_H

#include <stdint.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/tile.h"
#include "../core/vector.h"
#include "finish.h"
#include "linear.h"

enum { BAND_BYTES = 384 * 1024 };

typedef struct {
    const conv_forward_args *a;
    size bands, rows, columns; /* rows, columns of stored values */
} pixels_conv_job;

/* How a band's copy lies: phase (i, j) of a channel holds every SH-th row from i and every SW-th column from j. */
typedef struct {
    size phases_h, phases_w, rows, pitch;
} pixels_phases;

static pixels_phases phases_of(const geometry *g, size rows, size columns) {
    size reach_h = (g->KH - 1) * g->DH, reach_w = (g->KW - 1) * g->DW;
    return (pixels_phases){smaller(g->SH, reach_h + 1), smaller(g->SW, reach_w + 1), rows + reach_h / g->SH,
                           columns + reach_w / g->SW};
}

/* One channel of x, rows from `top` on, zeros outside. What stands behind a row and before the next is zeroed at once,
   in whole vectors: up to a row and a vector are written behind the last row. */
static T *copy_channel(const geometry *g, const pixels_phases *p, const T *x, size top, T *out) {
    for (size i = 0; i < p->phases_h; i++) {
        for (size j = 0; j < p->phases_w; j++) {
            size start = j - g->PW, step = g->SW; /* place k of a row holds x[start + k * step] */
            size from = smaller(p->pitch, larger(0, ceil_div(-start, step)));
            size to = larger(from, smaller(p->pitch, ceil_div(g->W - start, step)));
            for (size k = 0; k < from; k += L) storeu(out + k, (V){0});
            for (size r = 0; r < p->rows; r++, out += p->pitch) {
                size h = top + r * g->SH + i, k = from;
                if (h >= 0 && h < g->H) {
                    const T *row = x + h * g->W + start;
                    if (step == 1)
                        for (; k < to; k += L) storeu(out + k, loadu(row + k));
                    else
                        for (; k < to; k++) out[k] = row[k * step];
                    k = to;
                }
                for (; k < p->pitch + from; k += L) storeu(out + k, (V){0});
            }
        }
    }
    return out;
}

/* M output channels times P vectors of pixels: x stands at the first pixel of the first channel, y likewise. */
INLINE void pixels_sum(const int M, const int P, size channels, size channel, size taps, const size *offset, const T *x,
                       const T *w, size w_row, const T *bias, T *y, size y_row) {
    V acc[ACC_M][ACC_P];
    UNROLL for (int i = 0; i < M; i++) { UNROLL for (int j = 0; j < P; j++) acc[i][j] = splat(bias ? bias[i] : 0); }
    for (size c = 0; c < channels; c++, x += channel, w += taps) {
        for (size t = 0; t < taps; t++) {
            V xv[ACC_P];
            UNROLL for (int j = 0; j < P; j++) xv[j] = loadu(x + offset[t] + j * L);
            UNROLL for (int i = 0; i < M; i++) {
                T s = w[i * w_row + t];
                UNROLL for (int j = 0; j < P; j++) acc[i][j] += s * xv[j];
            }
        }
    }
    UNROLL for (int i = 0; i < M; i++) { UNROLL for (int j = 0; j < P; j++) storeu(y + i * y_row + j * L, acc[i][j]); }
}

static void pixels_tile(int M, int P, size channels, size channel, size taps, const size *offset, const T *x,
                        const T *w, size w_row, const T *bias, T *y, size y_row) {
#define CASE(m, p) \
    case m * 8 + p: pixels_sum(m, p, channels, channel, taps, offset, x, w, w_row, bias, y, y_row); break;
    switch (M * 8 + P) { TILE_SIZES(CASE) }
#undef CASE
}

static int pixels_conv_task(void *context, ptrdiff_t task) {
    const pixels_conv_job *job = context;
    const conv_forward_args *a = job->a;
    const geometry g = a->g;
    size band = task % job->bands, group = task / job->bands % g.G, image = task / job->bands / g.G;
    size r0 = band * job->rows / job->bands, r1 = (band + 1) * job->rows / job->bands, scale = a->pool ? 2 : 1;
    size C = g.C / g.G, M = g.O / g.G, taps = g.KH * g.KW, columns = scale * job->columns, rows = scale * (r1 - r0);
    pixels_phases p = phases_of(&g, rows, columns);
    size plane = p.rows * p.pitch, channel = p.phases_h * p.phases_w * plane;
    size vectors = ceil_div((rows - 1) * p.pitch + columns, L), y_row = vectors * L;
    /* Behind the copy a row and a vector are written, behind the buffer two vectors read. */
    size copied = ceil_div(C * channel + p.pitch + L, L) * L, summed = M * y_row + 2 * L;
    T *copy = pool_scratch(SCRATCH_TASK, (size_t)(copied + summed) * sizeof(T) + (size_t)taps * sizeof(size));
    if (!copy) return -1;
    T *sums = copy + copied, *out = copy;
    const T *x = (const T *)a->x + (image * g.C + group * C) * g.H * g.W;
    for (size c = 0; c < C; c++) out = copy_channel(&g, &p, x + c * g.H * g.W, scale * r0 * g.SH - g.PH, out);
    size *offset = (size *)(((uintptr_t)(sums + summed) + sizeof(size) - 1) & ~(uintptr_t)(sizeof(size) - 1));
    for (size t = 0; t < taps; t++) {
        size h = t / g.KW * g.DH, w = t % g.KW * g.DW;
        offset[t] = (h % g.SH * p.phases_w + w % g.SW) * plane + h / g.SH * p.pitch + w / g.SW;
    }
    const T *weights = (const T *)a->w + group * M * C * taps, *bias = a->b ? (const T *)a->b + group * M : NULL;
    size tiles = tile_count(M, TILE_M);
    for (size v = 0; v < vectors; v += TILE_P) {
        for (size t = 0; t < tiles; t++) {
            size m = tile_start(M, tiles, t), count = tile_start(M, tiles, t + 1) - m;
            pixels_tile((int)count, (int)smaller(TILE_P, vectors - v), C, channel, taps, offset, copy + v * L,
                        weights + m * C * taps, C * taps, bias ? bias + m : NULL, sums + m * y_row + v * L, y_row);
        }
    }
    size y_plane = job->rows * job->columns, part = (r1 - r0) * job->columns;
    T *y = (T *)a->y + (image * g.O + group * M) * y_plane + r0 * job->columns;
    for (size m = 0; m < M; m++)
        finish(sums + m * y_row, p.pitch, r1 - r0, job->columns, a->relu, a->pool, y + m * y_plane,
               job->bands == 1 ? y + M * y_plane : y + m * y_plane + part);
    return 0;
}

static int pixels_conv(const conv_forward_args *a) {
    const geometry g = a->g;
    size C = g.C / g.G, rows = a->pool ? g.OH / 2 : g.OH, columns = a->pool ? g.OW / 2 : g.OW;
    if (!g.n || !rows || !columns || !g.O) return 0;
    if (!a->pool && g.OH == 1 && g.OW == 1 && g.KH == g.H && g.KW == g.W && !g.PH && !g.PW && g.G == 1) {
        linear_forward_args product = {g.n, g.C * g.H * g.W, g.O, a->x, a->w, a->b, a->y, a->relu};
        return pixels_linear(&product);
    }
    /* Copy and buffer of a band stay in the second cache, and every thread gets a band; no sum depends on the bands. */
    size work = g.n * g.O * rows * columns * (a->pool ? 4 : 1) * C * g.KH * g.KW / L;
    pixels_phases p = phases_of(&g, rows * (a->pool ? 2 : 1), columns * (a->pool ? 2 : 1));
    size channels = C * p.phases_h * p.phases_w + g.O / g.G;
    double bytes = (double)channels * (double)(p.rows * p.pitch) * sizeof(T);
    size tasks = work > PARALLEL_FROM ? ceil_div(pool_get_threads(), g.n * g.G) : 1;
    pixels_conv_job job = {.a = a, .rows = rows, .columns = columns};
    job.bands = smaller(rows, larger(tasks, (size)(bytes / BAND_BYTES) + 1));
    return pool_run(pixels_conv_task, &job, g.n * g.G * job.bands, work > PARALLEL_FROM);
}

#endif
