/* Winograd convolution F(mh x mw, 3x3) with stride 1: (mh + 2) (mw + 2) products for mh mw outputs where the direct sum
   takes 9 mh mw.

   y = A^T [(G w G^T) * (B^T d B)] A for each input tile d of mh + 2 by mw + 2 pixels (Lavin and Gray 2016, "Fast
   algorithms for convolutional neural networks"), summed over input channels before the last transform. The products
   are (mh + 2) (mw + 2) small matrix products by the register tile of tile.h. F(2x2) is as exact as a direct sum,
   F(2x4) and F(4x4) lose two to four bits of it (core/winograd.h). */
#ifndef MINIDL_LANES_CONV_WINOGRAD_H
#define MINIDL_LANES_CONV_WINOGRAD_H

#include "../../core/kernels.h"
#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../../core/window.h"
#include "../../core/winograd.h"
#include "../source.h"
#include "winograd_weights.h"

/* Block, row and column of a tile. */
typedef struct {
    size block, h, w;
} tile_spot;

/* The outputs of P tiles and of M channels, from the m0th of all groups on, out of their products. */
INLINE void winograd_outputs(const int mh, const int mw, const winograd_job *job, size m0, const tile_spot *spot, int P,
                             int M, const T *products) {
    size half = job->pool ? 2 : 1, H = job->H / half, W = job->W / half;
    const T *bias = job->bias ? job->bias + m0 : NULL;
    for (int i = 0; i < M; i++) {
        V start = bias ? splat(bias[i]) : (V){0};
        for (int j = 0; j < P; j++) {
            size channel = (spot[j].block * job->groups * job->M + m0 + i) * H * W;
            V y[4][4];
            output_tile(mh, mw, 3, products + (i * P + j) * L, TILE_M * TILE_P * L, y);
            UNROLL for (int q = 0; q < mh * mw; q++) {
                int a = q / mw, b = q % mw;
                size h = mh * spot[j].h + a, w = mw * spot[j].w + b;
                y[a][b] += start;
                if (!job->pool && h < H && w < W)
                    store(job->y + (channel + h * W + w) * L, job->relu ? relu(y[a][b]) : y[a][b]);
            }
            if (!job->pool) continue;
            UNROLL for (int q = 0; q < mh * mw / 4; q++) {
                int a = q / (mw / 2), b = q % (mw / 2);
                size h = mh / 2 * spot[j].h + a, w = mw / 2 * spot[j].w + b, at = (channel + h * W + w) * L;
                V window[4] = {y[2 * a][2 * b], y[2 * a][2 * b + 1], y[2 * a + 1][2 * b], y[2 * a + 1][2 * b + 1]};
                VI code;
                if (h >= H || w >= W) continue;
                store(job->y + at, pool_window(window, job->pool, job->relu, &code));
                if (job->code) *(VB *)(job->code + at) = __builtin_convertvector(code, VB);
            }
        }
    }
}

/* The products of P tiles and M channels, all frequencies: sums over R channels by the register tile. */
INLINE void winograd_product(const int M, const int P, size R, int frequencies, const T *a, const T *in, size f_step,
                             T *out) {
    for (int f = 0; f < frequencies; f++, a += L, in += f_step, out += TILE_M * TILE_P * L) {
        V acc[ACC_M][ACC_P];
        UNROLL for (int i = 0; i < M; i++) UNROLL for (int j = 0; j < P; j++) acc[i][j] = (V){0};
        for (size r = 0; r < R; r++, a += M) {
            V x[ACC_P];
            UNROLL for (int j = 0; j < P; j++) x[j] = load(in + (j * R + r) * L);
            UNROLL for (int i = 0; i < M; i++) {
                T s = a[i];
                UNROLL for (int j = 0; j < P; j++) acc[i][j] += s * x[j];
            }
        }
        UNROLL for (int i = 0; i < M; i++) UNROLL for (int j = 0; j < P; j++) store(out + (i * P + j) * L, acc[i][j]);
    }
}

static void winograd_products(int M, int P, size R, int frequencies, const T *a, const T *in, size f_step, T *out) {
#define CASE(m, p) \
    case m * 8 + p: winograd_product(m, p, R, frequencies, a, in, f_step, out); break;
    switch (M * 8 + P) { TILE_SIZES(CASE) }
#undef CASE
}

INLINE int winograd_band(const int mh, const int mw, const winograd_job *job, ptrdiff_t task) {
    const int frequencies = (mh + 2) * (mw + 2);
    size band = task % job->bands, group = task / job->bands % job->groups,
         b0 = task / job->bands / job->groups * job->blocks_each;
    size blocks = smaller(job->blocks_each, blocks_of(job->n) - b0);
    size R = job->R, chunk = job->chunk, columns = job->tile_columns, H = job->source.H, W = job->source.W;
    size r0 = band * job->tile_rows / job->bands, r1 = (band + 1) * job->tile_rows / job->bands,
         in_band = (r1 - r0) * columns;
    size h0 = larger(0, mh * r0 - job->top), h1 = smaller(H, mh * r1 + 2 - job->top);
    size f_step =
        (chunk * R + 1) * L; /* one vector more, so that the frequencies do not fall on one set of the cache */
    size copied = source_copies(&job->source) && h1 > h0 ? R * (h1 - h0) * W * L : 0;
    size floats = frequencies * f_step + frequencies * TILE_M * TILE_P * L + blocks * copied;
    T *input = pool_scratch(SCRATCH_TASK, (size_t)floats * sizeof(T) + (size_t)chunk * sizeof(tile_spot));
    if (!input) return -1;
    tile_spot *spot = (tile_spot *)(input + floats);
    T *products = input + frequencies * f_step, *copy = products + frequencies * TILE_M * TILE_P * L;
    size tiles = winograd_tiles(job);
    const T *x = job->source.x + ((b0 * job->source.C + group * R) * H + h0) * W * L;
    size x_channel = H * W * L, x_block = job->source.C * x_channel;
    if (copied) {
        for (size b = 0; b < blocks; b++)
            for (size c = 0; c < R; c++)
                for (size h = h0; h < h1; h++)
                    source_row(&job->source, b0 + b, group * R + c, h,
                               copy + b * copied + (c * (h1 - h0) + h - h0) * W * L);
        x = copy;
        x_channel = (h1 - h0) * W * L;
        x_block = copied;
    }
    for (size t0 = 0; t0 < blocks * in_band; t0 += chunk) {
        size count = smaller(chunk, blocks * in_band - t0);
        for (size t = 0; t < count; t++)
            spot[t] = (tile_spot){b0 + (t0 + t) / in_band, r0 + (t0 + t) % in_band / columns, (t0 + t) % columns};
        for (size c = 0; c < R; c++) {
            for (size t = 0; t < count; t++) {
                size h = mh * spot[t].h - job->top, w = mw * spot[t].w - job->left;
                const T *row[WINOGRAD_SIDE];
                for (int i = 0; i < mh + 2; i++)
                    row[i] = h + i >= h0 && h + i < h1
                                 ? x + (spot[t].block - b0) * x_block + c * x_channel + (h + i - h0) * W * L
                                 : NULL;
                /* The next channel's rows lie far away: they are asked for while this one's are transformed. */
                if (c + 1 < R)
                    for (int i = 2; i < mh + 2; i++)
                        if (row[i])
                            UNROLL for (int j = 2; j < mw + 2; j++)
                                __builtin_prefetch(row[i] + x_channel + (w + j) * L);
                input_tile(mh, mw, row, w, W, input + (t * R + c) * L, f_step);
            }
        }
        for (size o = 0; o < tiles; o++) {
            size m0 = tile_start(job->M, tiles, o), M = tile_start(job->M, tiles, o + 1) - m0;
            const T *a = winograd_weights_at(job, group, o, m0);
            for (size t = 0; t < count; t += TILE_P) {
                size P = smaller(TILE_P, count - t);
                winograd_products((int)M, (int)P, R, frequencies, a, input + t * R * L, f_step, products);
                winograd_outputs(mh, mw, job, group * job->M + m0, spot + t, (int)P, (int)M, products);
            }
        }
    }
    return 0;
}

static int winograd_task(void *context, ptrdiff_t task) {
    const winograd_job *job = context;
    if (job->m.columns == 2) return winograd_band(2, 2, job, task);
    return job->m.rows == 2 ? winograd_band(2, 4, job, task) : winograd_band(4, 4, job, task);
}

/* At least as many, if there are so many rows of tiles: a single block of images is dealt to several threads. */
enum { WINOGRAD_TASKS = 8 };

static int winograd(winograd_job *job) {
    size mh = job->m.rows, mw = job->m.columns, frequencies = (mh + 2) * (mw + 2);
    size blocks = blocks_of(job->n), tiles = winograd_tiles(job);
    size weights = job->groups * (job->M * job->R + tiles * L) * frequencies;
    job->weights = pool_scratch(SCRATCH_CALL, (size_t)weights * sizeof(T));
    if (!job->weights) return -1;
    if (pool_run(winograd_weights_task, job, job->groups * tiles, weights > PARALLEL_FROM)) return -1;
    /* Under pooling an odd last row or column is not needed. */
    job->tile_rows = ceil_div(job->pool ? job->H / 2 * 2 : job->H, mh);
    job->tile_columns = ceil_div(job->pool ? job->W / 2 * 2 : job->W, mw);
    size rows_each = ceil_div(64 / (mh * mw), job->tile_columns); /* of a band: 64 pixels or more */
    size few = smaller(job->tile_rows, ceil_div(WINOGRAD_TASKS, blocks * job->groups));
    job->bands = larger(few, job->tile_rows / rows_each);
    size fits = 256 * 1024 / (frequencies * job->R * VBYTES) / TILE_P * TILE_P;
    /* Several blocks, if one has fewer tiles than a register tile and there are enough for all threads. */
    size in_block = job->tile_rows * job->tile_columns, spare = blocks * job->groups / pool_get_threads();
    job->blocks_each = job->bands > 1 ? 1 : larger(1, smaller(TILE_P / larger(1, in_block), spare));
    job->chunk =
        smaller(larger(fits, TILE_P), job->blocks_each * ceil_div(job->tile_rows, job->bands) * job->tile_columns);
    size work = blocks * job->groups * job->M * job->R * job->H * job->W * 4;
    return pool_run(winograd_task, job, ceil_div(blocks, job->blocks_each) * job->groups * job->bands,
                    work > PARALLEL_FROM);
}

static int winograd_forward(const conv_forward_args *a, winograd_size m) {
    const geometry g = a->g;
    size C = g.C / g.G, M = g.O / g.G;
    winograd_job job = {
        .source = {.x = a->x, .C = g.C, .H = g.H, .W = g.W},
        .n = g.n,
        .groups = g.G,
        .R = C,
        .M = M,
        .H = g.OH,
        .W = g.OW,
        .top = g.PH,
        .left = g.PW,
        .w_m = C * 9,
        .w_r = 9,
        .w = a->w,
        .bias = a->b,
        .relu = a->relu,
        .pool = a->pool,
        .y = a->y,
        .code = a->code,
        .m = m,
    };
    return winograd(&job);
}

/* The input gradient: dy through the kernel turned by 180 degrees and transposed. */
static int winograd_dx(const conv_backward_args *a, const row_source *source, winograd_size m) {
    const geometry g = a->g;
    size C = g.C / g.G, R = g.O / g.G;
    winograd_job job = {
        .source = *source,
        .n = g.n,
        .groups = g.G,
        .R = R,
        .M = C,
        .H = g.H,
        .W = g.W,
        .top = 2 - g.PH,
        .left = 2 - g.PW,
        .w_m = 9,
        .w_r = C * 9,
        .w = a->w,
        .turned = 1,
        .bias = a->dx_start,
        .y = a->dx,
        .m = m,
    };
    return winograd(&job);
}

#endif
