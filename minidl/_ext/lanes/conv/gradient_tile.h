/* The register tile of weight gradients, and its sweep over the O x K sums of one band: what the direct sum and
   Winograd's along rows have in common. */
#ifndef MINIDL_LANES_CONV_GRADIENT_TILE_H
#define MINIDL_LANES_CONV_GRADIENT_TILE_H

#include <string.h>

#include "../../core/tile.h"
#include "../../core/vector.h"

/* A weight-gradient tile: acc[i][j] = sum over pixels of dy_i * x_j, both vectors; sums over the lanes go to sums[i*P +
   j]. */
#if VBYTES == 64
enum { GRAD_M = 4, GRAD_P = 6 };
#elif defined(__aarch64__)
enum { GRAD_M = 4, GRAD_P = 5 };
#else
enum { GRAD_M = 3, GRAD_P = 4 };
#endif

/* A row of `length` pixels: dy of the first channel of the tile, and the place in x from which the offsets count. */
typedef struct {
    const T *dy, *x;
} grad_row;

INLINE void grad_sum(const int M, const int P, size rows, const grad_row *row, size length, size dy_channel,
                     size dy_first, size x_step, const size *offset, T *sums) {
    V acc[GRAD_M][GRAD_P];
    UNROLL for (int i = 0; i < M; i++) { UNROLL for (int j = 0; j < P; j++) acc[i][j] = (V){0}; }
    for (size r = 0; r < rows; r++) {
        const T *dy = row[r].dy + dy_first;
        const T *x[GRAD_P];
        UNROLL for (int j = 0; j < P; j++) x[j] = row[r].x + offset[j];
        for (size p = 0; p < length; p++) {
            V g[GRAD_M];
            UNROLL for (int i = 0; i < M; i++) g[i] = load(dy + i * dy_channel);
            UNROLL for (int j = 0; j < P; j++) {
                V xv = load(x[j] + p * x_step);
                UNROLL for (int i = 0; i < M; i++) acc[i][j] += g[i] * xv;
            }
            dy += L;
        }
    }
    enum { GROUPS = (GRAD_M * GRAD_P + S - 1) / S };
    UNROLL for (int t = 0; t < GROUPS; t++) {
        if (t * S >= M * P) continue;
        VS group[S];
        UNROLL for (int k = 0; k < S; k++) {
            int at = t * S + k;
            group[k] = at < M * P ? add_halves(acc[at / P][at % P]) : (VS){0};
        }
        VS sum = sum_lanes(group);
        memcpy(sums + t * S, &sum, sizeof sum);
    }
}

enum { GRAD_SUMS = (GRAD_M * GRAD_P + S - 1) / S * S };

static void grad_tile(int M, int P, size rows, const grad_row *row, size length, size dy_channel, size dy_first,
                      size x_step, const size *offset, T *sums) {
#define CASE(m, p) \
    case m * 8 + p: grad_sum(m, p, rows, row, length, dy_channel, dy_first, x_step, offset, sums); break;
#if VBYTES == 64
#define ROW(m) CASE(m, 1) CASE(m, 2) CASE(m, 3) CASE(m, 4) CASE(m, 5) CASE(m, 6)
    switch (M * 8 + P) { ROW(1) ROW(2) ROW(3) ROW(4) }
#elif defined(__aarch64__)
#define ROW(m) CASE(m, 1) CASE(m, 2) CASE(m, 3) CASE(m, 4) CASE(m, 5)
    switch (M * 8 + P) { ROW(1) ROW(2) ROW(3) ROW(4) }
#else
#define ROW(m) CASE(m, 1) CASE(m, 2) CASE(m, 3) CASE(m, 4)
    switch (M * 8 + P) { ROW(1) ROW(2) ROW(3) }
#endif
#undef ROW
#undef CASE
}

/* Zeros in the lanes that hold no image. */
INLINE void mask_lanes(T *x, size vectors, VI mask) {
    for (size i = 0; i < vectors; i++) store(x + i * L, (V)((VI)load(x + i * L) & mask));
}

/* The input channel whose weight gradient is db: all ones, empty lanes too, where dy is zero. */
INLINE void fill_ones(T *x, size vectors) {
    for (size i = 0; i < vectors; i++) store(x + i * L, splat(1));
}

/* sums[m * sums_row + k] += sum over rows and their `length` vectors of dy_m * x_k; columns k >= real go to db[m]. */
static void grad_tiles(size rows, const grad_row *row, size length, size dy_channel, size x_step, size O, size K,
                       size real, const size *offset, T *sums, size sums_row, T *db) {
    T part[GRAD_SUMS];
    size m_tiles = tile_count(O, GRAD_M), k_tiles = tile_count(K, GRAD_P);
    for (size mt = 0; mt < m_tiles; mt++) {
        size m = tile_start(O, m_tiles, mt), M = tile_start(O, m_tiles, mt + 1) - m;
        for (size kt = 0; kt < k_tiles; kt++) {
            size k = tile_start(K, k_tiles, kt), P = tile_start(K, k_tiles, kt + 1) - k;
            grad_tile((int)M, (int)P, rows, row, length, dy_channel, m * dy_channel, x_step, offset + k, part);
            for (size i = 0; i < M; i++) {
                for (size j = 0; j < P; j++) {
                    if (k + j < real) sums[(m + i) * sums_row + k + j] += part[i * P + j];
                    else db[m + i] += part[i * P + j];
                }
            }
        }
    }
}

#endif
