/* The factors of the weight gradient along both axes, see winograd_dw2d.h: B^T x B of tiles of x, A dy A^T of tiles of
   dy, two rows of products at a time. */
#ifndef MINIDL_LANES_CONV_WINOGRAD_DW2D_TILES_H
#define MINIDL_LANES_CONV_WINOGRAD_DW2D_TILES_H

#include "../../core/kernels.h"
#include "../../core/sizes.h"
#include "../../core/vector.h"
#include "../../core/winograd.h"
#include "../source.h"
#include "shares.h"

enum { TILE_COLUMNS = 4, TILE_ROWS = 4, PAIR_PRODUCTS = 12 };                                /* TILE_ROWS: at most */
enum { DW2D_TILES = 4, DW2D_OUTPUTS = 128, DW2D_INPUTS = 64, DW2D_PARTIAL_BYTES = 5 << 20 }; /* channels of a task */

INLINE size row_pairs(size m) { return m / 2 + 1; }

typedef struct {
    const conv_backward_args *a;
    row_source source;
    size m;         /* rows of a tile of dy, 2 or 4 */
    size width;     /* channels of x in each group, in whole vectors */
    grad_deal deal; /* of vectors of channels of x */
    size tile_rows, tile_columns, tiles;
    T *sums, *db; /* of the first share: [group][row pair][product][o][c]; db is O values, or NULL */
    size share_step;
} winograd_dw2d_job;

/* Twelve products of the tile of x whose corner is pixel (h, w), f_step apart, for the lanes of `mask`. x: one channel;
   `ahead`: to the next one, which is asked for on the way. inside: whether the whole tile lies in the image. */
INLINE void input_products(const int m, int pair, const int inside, const T *x, size ahead, size H, size W, size h,
                           size w, VI mask, T *out, size f_step) {
    const int first = pair ? 1 : 0, behind = pair ? m + 1 : m + 2; /* the rows that this pair sums */
    V row[2][WINOGRAD_SIDE];
    UNROLL for (int j = 0; j < WINOGRAD_SIDE; j++) {
        V d[WINOGRAD_SIDE] = {{0}};
        UNROLL for (int i = 0; i < WINOGRAD_SIDE; i++) {
            if (i < first || i >= behind || !(inside || (h + i >= 0 && h + i < H && w + j >= 0 && w + j < W))) continue;
            const T *p = x + ((h + i) * W + w + j) * L;
            d[i] = load(p);
            __builtin_prefetch(p + ahead);
        }
        input_pair(m, pair, d, &row[0][j], &row[1][j]);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        input_axis(TILE_COLUMNS, row[i]);
        UNROLL for (int j = 0; j < WINOGRAD_SIDE; j++)
            store(out + (i * WINOGRAD_SIDE + j) * f_step, (V)((VI)row[i][j] & mask));
    }
}

/* Twelve products of a tile of dy: row[i] + w is its row i, NULL below the last one; with pair 1, which reads them all,
   its sum behind them. ahead: as for input_products. */
INLINE void gradient_products(const int m, int pair, const T *const row[TILE_ROWS], size ahead, size w, size W, T *out,
                              size f_step) {
    V values[2][TILE_COLUMNS], sum = {0};
    UNROLL for (int j = 0; j < TILE_COLUMNS; j++) {
        V d[TILE_ROWS] = {{0}};
        UNROLL for (int i = 0; i < m; i++) {
            if (!row[i] || w + j >= W || (pair == 0 && i % (m - 1))) continue;
            d[i] = load(row[i] + (w + j) * L);
            if (pair == 1) sum += d[i];
            __builtin_prefetch(row[i] + ahead + (w + j) * L);
        }
        gradient_pair(m, pair, d, &values[0][j], &values[1][j]);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        V p[WINOGRAD_SIDE];
        gradient_axis(TILE_COLUMNS, values[i], p);
        UNROLL for (int j = 0; j < WINOGRAD_SIDE; j++) store(out + (i * WINOGRAD_SIDE + j) * f_step, p[j]);
    }
    if (pair == 1) store(out + PAIR_PRODUCTS * f_step, sum);
}

/* The products of C channels of x from c0 on, for the tiles [t0, t1): [product][tile, image][width]. */
INLINE void dw2d_inputs(const int m, int pair, const winograd_dw2d_job *job, size group, size c0, size C, size width,
                        size t0, size t1, T *out, size f_step) {
    const conv_backward_args *a = job->a;
    const geometry g = a->g;
    size in_block = job->tile_rows * job->tile_columns, plane = g.H * g.W * L;
    T stage[PAIR_PRODUCTS * L * L] __attribute__((aligned(VBYTES)));
    for (size t = t0; t < t1; t++) {
        size block = t / in_block, spot = t % in_block;
        size h = m * (spot / job->tile_columns) - g.PH, w = TILE_COLUMNS * (spot % job->tile_columns) - g.PW;
        int inside = h >= 0 && w >= 0 && h + m + 2 <= g.H && w + WINOGRAD_SIDE <= g.W;
        VI mask = lanes_below(smaller(L, g.n - block * L));
        const T *x = (const T *)a->x + (block * g.C + group * (g.C / g.G) + c0) * plane;
        for (size c = 0; c < C; c += L, x += L * plane) {
            size count = smaller(L, C - c);
            for (size i = 0; i < count; i++) {
                if (inside)
                    input_products(m, pair, 1, x + i * plane, plane, g.H, g.W, h, w, mask, stage + i * L, L * L);
                else input_products(m, pair, 0, x + i * plane, plane, g.H, g.W, h, w, mask, stage + i * L, L * L);
            }
            for (size f = 0; f < PAIR_PRODUCTS; f++) {
                V square[L];
                T *to = out + f * f_step + (t - t0) * L * width + c;
                UNROLL for (int i = 0; i < L; i++) square[i] = i < count ? load(stage + (f * L + i) * L) : (V){0};
                transpose(square);
                UNROLL for (int i = 0; i < L; i++) store(to + i * width, square[i]);
            }
        }
    }
}

/* The products of O channels of dy from o0 on: [product][o][tile] of vectors. copy: memory for the rows of a tile. */
INLINE void dw2d_gradients(const int m, int pair, const winograd_dw2d_job *job, size o0, size O, size t0, size t1,
                           T *copy, T *out, size f_step) {
    const geometry g = job->a->g;
    size in_block = job->tile_rows * job->tile_columns, ahead = source_copies(&job->source) ? 0 : g.OH * g.OW * L;
    for (size o = 0; o < O; o++) {
        for (size t = t0; t < t1;) {
            size block = t / in_block, spot = t % in_block, h = m * (spot / job->tile_columns);
            size until = smaller(t1, t - spot % job->tile_columns + job->tile_columns);
            const T *row[TILE_ROWS];
            for (int i = 0; i < m; i++)
                row[i] = h + i < g.OH ? source_row(&job->source, block, o0 + o, h + i, copy + i * g.OW * L) : NULL;
            for (; t < until; t++)
                gradient_products(m, pair, row, ahead, TILE_COLUMNS * (t % job->tile_columns), g.OW,
                                  out + (o * DW2D_TILES + t - t0) * L, f_step);
        }
    }
}

#endif
