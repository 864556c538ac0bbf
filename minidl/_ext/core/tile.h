/* The register tile behind every convolution and matrix product.

   acc[i][j] = sum over k of a[k, i] * x_j[k]: M scalars a, broadcast, times P vectors x. For a convolution the scalars
   are weights of M output channels and the vectors P pixels of L images; for a linear layer the vectors are L images
   each. The sum is over `runs` pieces of `run` vectors, piece r from offset[r] behind x_j and a_piece * r behind a. */
#ifndef MINIDL_CORE_TILE_H
#define MINIDL_CORE_TILE_H

#include <stdint.h>

#include "kernels.h"
#include "vector.h"
#include "window.h"

/* Sums that fill the registers: 32 of AVX-512 and of arm64, whose scalars wait in vectors too, 16 of others. */
#if VBYTES == 64
enum { TILE_M = 6, TILE_P = 4, TILE_POOL_M = 6 };
#elif defined(__aarch64__)
enum { TILE_M = 5, TILE_P = 4, TILE_POOL_M = 5 };
#else
enum { TILE_M = 6, TILE_P = 2, TILE_POOL_M = 3 };
#endif

/* The output channels are dealt to tiles of nearly equal size. */
INLINE size tile_count(size M, size most) { return (M + most - 1) / most; }
INLINE size tile_start(size M, size tiles, size t) { return t * M / tiles; }

/* Array bounds below are these constants, never M and P: a bound that is a parameter makes a variable-length array,
   which stays in memory even where the parameter is a constant after inlining. */
enum { ACC_M = 6, ACC_P = 4 };

typedef struct {
    const size *offset; /* elements; of each run */
    size runs, run, last_run;
    size x_step;                 /* elements from x_j[k] to x_j[k + 1] */
    size a_step, a_row, a_piece; /* elements from a[k, i] to a[k + 1, i], to a[k, i + 1], to the next piece */
} tile_walk;

INLINE void tile_sum(const int M, const int P, const tile_walk *walk, const T *a, const T *const *x,
                     V acc[ACC_M][ACC_P]) {
    const size x_step = walk->x_step, a_step = walk->a_step, a_row = walk->a_row;
    for (size r = 0; r < walk->runs; r++) {
        const T *ak = a + r * walk->a_piece;
        const T *xk[ACC_P];
        UNROLL for (int j = 0; j < P; j++) xk[j] = x[j] + walk->offset[r];
        size run = r + 1 < walk->runs ? walk->run : walk->last_run;
        for (size k = 0; k < run; k++) {
            V av[ACC_M], xv[ACC_P];
            /* The fewer of the two wait in registers while the others come one by one. */
            if (M < P) {
                UNROLL for (int i = 0; i < M; i++) av[i] = splat(ak[i * a_row]);
                UNROLL for (int j = 0; j < P; j++) {
                    V v = load(xk[j] + k * x_step);
                    UNROLL for (int i = 0; i < M; i++) acc[i][j] += av[i] * v;
                }
            } else {
                UNROLL for (int j = 0; j < P; j++) xv[j] = load(xk[j] + k * x_step);
                UNROLL for (int i = 0; i < M; i++) {
                    T s = ak[i * a_row];
                    UNROLL for (int j = 0; j < P; j++) acc[i][j] += s * xv[j];
                }
            }
            ak += a_step;
        }
    }
}

/* Where a tile's sums go: y[j] + i * y_row, after the bias and relu; or they are added to what stands there. */
typedef struct {
    const T *bias; /* of the tile's first row, or NULL */
    size y_row;
    int relu, add;
} tile_store;

INLINE void tile_plain(const int M, const int P, const tile_walk *walk, const T *a, const T *const *x,
                       const tile_store *to, T *const *y) {
    V acc[ACC_M][ACC_P];
    UNROLL for (int i = 0; i < M; i++) {
        V start = to->bias ? splat(to->bias[i]) : (V){0};
        UNROLL for (int j = 0; j < P; j++) acc[i][j] = start;
    }
    tile_sum(M, P, walk, a, x, acc);
    /* What stands in y is added last: a long sum in pieces loses less than one after another. */
    UNROLL for (int i = 0; i < M; i++) {
        UNROLL for (int j = 0; j < P; j++) {
            T *at = y[j] + i * to->y_row;
            V v = to->add ? acc[i][j] + loadu(at) : acc[i][j];
            storeu(at, to->relu ? relu(v) : v);
        }
    }
}

/* DO(M, P) for every size of a tile: a switch over them gets one copy for each from the compiler. */
#if VBYTES == 64 || defined(__aarch64__)
#define TILE_ROW(DO, m) DO(m, 1) DO(m, 2) DO(m, 3) DO(m, 4)
#else
#define TILE_ROW(DO, m) DO(m, 1) DO(m, 2)
#endif
#define TO_5_ROWS(DO) TILE_ROW(DO, 1) TILE_ROW(DO, 2) TILE_ROW(DO, 3) TILE_ROW(DO, 4) TILE_ROW(DO, 5)
#ifdef __aarch64__
#define TILE_SIZES TO_5_ROWS
#else
#define TILE_SIZES(DO) TO_5_ROWS(DO) TILE_ROW(DO, 6)
#endif

/* One tile of any size up to TILE_M x TILE_P. */
static void tile(int M, int P, const tile_walk *walk, const T *a, const T *const *x, const tile_store *to,
                 T *const *y) {
#define CASE(m, p) \
    case m * 8 + p: tile_plain(m, p, walk, a, x, to, y); break;
    switch (M * 8 + P) { TILE_SIZES(CASE) }
#undef CASE
}

/* The tile of a single channel: a line of up to LINE_P pixels x + j * x_pixel, enough that the sums do not wait for
   each other. */
enum { LINE_P = 8 };

INLINE void tile_line(const int P, const tile_walk *walk, const T *a, const T *x, size x_pixel, const tile_store *to,
                      T *y, size y_pixel) {
    V acc[LINE_P];
    UNROLL for (int j = 0; j < P; j++) acc[j] = to->bias ? splat(to->bias[0]) : (V){0};
    for (size r = 0; r < walk->runs; r++) {
        const T *ak = a + r * walk->a_piece, *xk = x + walk->offset[r];
        for (size k = 0; k < walk->run; k++) {
            T s = ak[k * walk->a_step];
            UNROLL for (int j = 0; j < P; j++) acc[j] += s * load(xk + j * x_pixel);
            xk += walk->x_step;
        }
    }
    UNROLL for (int j = 0; j < P; j++) storeu(y + j * y_pixel, to->relu ? relu(acc[j]) : acc[j]);
}

/* A tile over the 2 x 2 window x[0..3] that stores its pooled values alone. */
INLINE void tile_pooled(const int M, const tile_walk *walk, const T *a, const T *const *x, const tile_store *to,
                        int kind, T *y, uint8_t *code) {
    V acc[ACC_M][ACC_P];
    UNROLL for (int i = 0; i < M; i++) {
        V start = to->bias ? splat(to->bias[i]) : (V){0};
        UNROLL for (int q = 0; q < 4; q++) acc[i][q] = start;
    }
    tile_sum(M, 4, walk, a, x, acc);
    VI bits[ACC_M];
    if (!code) { /* on a path of its own, from which the compiler leaves out the bits */
        UNROLL for (int i = 0; i < M; i++) store(y + i * to->y_row, pool_window(acc[i], kind, to->relu, &bits[i]));
        return;
    }
    UNROLL for (int i = 0; i < M; i++) {
        store(y + i * to->y_row, pool_window(acc[i], kind, to->relu, &bits[i]));
        *(VB *)(code + i * to->y_row) = __builtin_convertvector(bits[i], VB);
    }
}

#if VBYTES == 64
#define TILE_POOL_SIZES(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)
#elif defined(__aarch64__)
#define TILE_POOL_SIZES(DO) DO(1) DO(2) DO(3) DO(4) DO(5)
#else
#define TILE_POOL_SIZES(DO) DO(1) DO(2) DO(3)
#endif

static void tile_pool(int M, const tile_walk *walk, const T *a, const T *const *x, const tile_store *to, int kind, T *y,
                      uint8_t *code) {
#define CASE(m) \
    case m: tile_pooled(m, walk, a, x, to, kind, y, code); break;
    switch (M) { TILE_POOL_SIZES(CASE) }
#undef CASE
}

#endif
