/* The transforms of Winograd's F(mh x mw, 3x3), mh and mw 2 or 4, along the axes of a tile, for lanes/conv and
   channels: see lanes/conv/winograd.h, and winograd_dw2d.h for the last. F(2x2, 5x5) has the input tile of F(4x4, 3x3).
 */
#ifndef MINIDL_CORE_WINOGRAD_H
#define MINIDL_CORE_WINOGRAD_H

#include "kernels.h"
#include "vector.h"

enum { WINOGRAD_SIDE = 6, WINOGRAD_AREA = 36 }; /* of the larger input tile */

/* The points of F(4), beside 0 and infinity: +-ROOT_HALF and +-ROOT_TWO. They are each other's inverses, so that no
   power of them is far from 1: the usual +-1 and +-2 lose two to four times as much (docs/kernels/winograd.md). */
#define ROOT_TWO ((T)1.41421356237309504880)
#define ROOT_HALF ((T)0.70710678118654752440)

/* Whether rows of the kernel are three taps wide, and windows and taps move by one pixel. */
INLINE int rows_of_three(const geometry *g) {
    return g->KW == 3 && g->SH == 1 && g->SW == 1 && g->DH == 1 && g->DW == 1;
}

/* Two rows of B^T times the m + 2 values d: (0, 3) or (1, 2) for m = 2, (0, 5), (1, 2) or (3, 4) for m = 4. */
INLINE void input_pair(const int m, int pair, const V d[WINOGRAD_SIDE], V *first, V *second) {
    if (m == 2) {
        *first = pair ? d[1] + d[2] : d[0] - d[2];
        *second = pair ? d[2] - d[1] : d[1] - d[3];
        return;
    }
    if (pair == 0) {
        *first = d[0] - (T)2.5 * d[2] + d[4];
        *second = d[1] - (T)2.5 * d[3] + d[5];
        return;
    }
    V even = pair == 1 ? d[4] - 2 * d[2] : d[4] - (T)0.5 * d[2];
    V odd = pair == 1 ? ROOT_HALF * (d[3] - 2 * d[1]) : ROOT_TWO * (d[3] - (T)0.5 * d[1]);
    *first = even + odd;
    *second = even - odd;
}

/* B^T d of the m + 2 values along one axis. */
INLINE void input_axis(const int m, V a[WINOGRAD_SIDE]) {
    V d[WINOGRAD_SIDE];
    UNROLL for (int i = 0; i < m + 2; i++) d[i] = a[i];
    input_pair(m, 0, d, &a[0], &a[m + 1]);
    input_pair(m, 1, d, &a[1], &a[2]);
    if (m == 4) input_pair(m, 2, d, &a[3], &a[4]);
}

/* A^T p: m outputs of m + taps - 1 products along one axis. */
INLINE void output_axis(const int m, const int taps, const V p[WINOGRAD_SIDE], V y[4]) {
    V sum = p[1] + p[2], difference = p[1] - p[2];
    if (m == 2 && taps == 3) {
        y[0] = p[0] + sum;
        y[1] = difference - p[3];
        return;
    }
    V sum2 = p[3] + p[4], difference2 = p[3] - p[4];
    y[0] = p[0] + sum + sum2;
    y[1] = ROOT_HALF * difference + ROOT_TWO * difference2;
    if (m == 2) {
        y[1] += p[5];
        return;
    }
    y[2] = (T)0.5 * sum + 2 * sum2;
    y[3] = (ROOT_HALF / 2) * difference + 2 * ROOT_TWO * difference2 + p[5];
}

/* G g: m + 2 values of the three weights along one axis, of L kernels side by side. */
INLINE void weight_values(const int m, V g0, V g1, V g2, V u[WINOGRAD_SIDE]) {
    if (m == 2) {
        V even = (g0 + g2) / 2, odd = g1 / 2;
        u[0] = g0;
        u[1] = even + odd;
        u[2] = even - odd;
        u[3] = g2;
        return;
    }
    const T sixth = (T)(1.0 / 6); /* a product is a fraction of a quotient's time */
    V even = (g0 + g2 / 2) * (4 * sixth), odd = g1 * (4 * sixth * ROOT_HALF);
    V outer = (g0 + 2 * g2) * sixth, middle = g1 * (sixth * ROOT_TWO);
    u[0] = g0;
    u[1] = -(even + odd);
    u[2] = odd - even;
    u[3] = outer + middle;
    u[4] = outer - middle;
    u[5] = g2;
}

/* Those of five weights, for two outputs. */
INLINE void weight_values_of_five(const V g[5], V u[WINOGRAD_SIDE]) {
    const T sixth = (T)(1.0 / 6);
    V even = (g[0] + g[2] / 2 + g[4] / 4) * (4 * sixth), odd = (g[1] + g[3] / 2) * (4 * sixth * ROOT_HALF);
    V outer = (g[0] + 2 * g[2] + 4 * g[4]) * sixth, middle = (g[1] + 2 * g[3]) * (sixth * ROOT_TWO);
    u[0] = g[0];
    u[1] = -(even + odd);
    u[2] = odd - even;
    u[3] = outer + middle;
    u[4] = outer - middle;
    u[5] = g[4];
}

/* B^T d B of the tile whose rows start at row[i] + w; NULL rows and columns outside [0, W) are zeros. */
INLINE void input_tile_of(const int mh, const int mw, const T *const row[WINOGRAD_SIDE], size w, size W, T *out,
                          size f_step) {
    V d[WINOGRAD_SIDE][WINOGRAD_SIDE], a[WINOGRAD_SIDE] = {{0}};
    int inside = w >= 0 && w + mw + 2 <= W;
    UNROLL for (int i = 0; i < mh + 2; i++) {
        UNROLL for (int j = 0; j < mw + 2; j++) d[j][i] =
            row[i] && (inside || (w + j >= 0 && w + j < W)) ? load(row[i] + (w + j) * L) : (V){0};
    }
    UNROLL for (int j = 0; j < mw + 2; j++) input_axis(mh, d[j]);
    UNROLL for (int i = 0; i < mh + 2; i++) {
        UNROLL for (int j = 0; j < mw + 2; j++) a[j] = d[j][i];
        input_axis(mw, a);
        UNROLL for (int j = 0; j < mw + 2; j++) store(out + (i * (mw + 2) + j) * f_step, a[j]);
    }
}

#define INPUT_TILE(mh, mw) \
    ONE_COPY void input_tile_##mh##_##mw(const T *const row[WINOGRAD_SIDE], size w, size W, T *out, size f_step) { \
        input_tile_of(mh, mw, row, w, W, out, f_step); \
    }
INPUT_TILE(2, 2)
INPUT_TILE(2, 4)
INPUT_TILE(4, 4)
#undef INPUT_TILE

INLINE void input_tile(size mh, size mw, const T *const row[WINOGRAD_SIDE], size w, size W, T *out, size f_step) {
    (mw == 2 ? input_tile_2_2 : mh == 2 ? input_tile_2_4 : input_tile_4_4)(row, w, W, out, f_step);
}

/* A^T p A: y[i][j], the outputs of a tile, from products f_step apart. */
INLINE void output_tile(const int mh, const int mw, const int taps, const T *p, size f_step, V y[4][4]) {
    const int height = mh + taps - 1, width = mw + taps - 1;
    V columns[WINOGRAD_SIDE][4], a[WINOGRAD_SIDE] = {{0}};
    UNROLL for (int j = 0; j < width; j++) {
        UNROLL for (int i = 0; i < height; i++) a[i] = load(p + (i * width + j) * f_step);
        output_axis(mh, taps, a, columns[j]);
    }
    UNROLL for (int i = 0; i < mh; i++) {
        UNROLL for (int j = 0; j < width; j++) a[j] = columns[j][i];
        output_axis(mw, taps, a, y[i]);
    }
}

/* The weight gradient goes the other way: dw = G^T [sum of (A dy A^T) * (B^T x B)] G. */

/* The rows of A, as of B^T in input_pair, times m values. */
INLINE void gradient_pair(const int m, int pair, const V d[4], V *first, V *second) {
    if (pair == 0) {
        *first = d[0];
        *second = m == 2 ? -d[1] : d[3];
        return;
    }
    V even = m == 2 ? d[0] : pair == 1 ? d[0] + (T)0.5 * d[2] : d[0] + 2 * d[2];
    V odd = m == 2 ? d[1] : pair == 1 ? ROOT_HALF * (d[1] + (T)0.5 * d[3]) : ROOT_TWO * (d[1] + 2 * d[3]);
    *first = even + odd;
    *second = even - odd;
}

/* A d: m + 2 values of m along one axis. */
INLINE void gradient_axis(const int m, const V d[4], V p[WINOGRAD_SIDE]) {
    gradient_pair(m, 0, d, &p[0], &p[m + 1]);
    gradient_pair(m, 1, d, &p[1], &p[2]);
    if (m == 4) gradient_pair(m, 2, d, &p[3], &p[4]);
}

/* G^T p: three weights of m + 2 products along one axis. */
INLINE void weight_axis(const int m, const V p[WINOGRAD_SIDE], V w[3]) {
    V sum = p[1] + p[2];
    if (m == 2) {
        w[0] = p[0] + sum / 2;
        w[1] = (p[1] - p[2]) / 2;
        w[2] = sum / 2 + p[3];
        return;
    }
    const T third = (T)(1.0 / 3);
    V sum2 = p[3] + p[4];
    w[0] = p[0] + (sum2 / 2 - 2 * sum) * third;
    w[1] = (ROOT_HALF * (p[3] - p[4]) - 2 * ROOT_HALF * (p[1] - p[2])) * third;
    w[2] = p[5] + (sum2 - sum) * third;
}

#endif
