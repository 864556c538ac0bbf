/* The register tile of channels in lanes: M vectors of output channels times R rows of Q pixels.

   The roles of core/tile.h are swapped. There a vector holds a pixel of L images and a weight is a scalar; here a
   vector holds the weights of L output channels, and the scalar is one channel of one pixel. */
#ifndef MINIDL_CHANNELS_TILE_H
#define MINIDL_CHANNELS_TILE_H

#include "../core/element.h"
#include "../core/functions.h"
#include "../core/sizes.h"
#include "../core/vector.h"

/* Accumulators, and the pixels of a row, that fill the registers: M * R * Q + M + 1 vectors. */
#if VBYTES == 64
enum { PIXELS = 14, PIXELS_OF_TWO = 7, PIXELS_OF_FOUR = 6 };
#else
enum { PIXELS = 6, PIXELS_OF_TWO = 3, PIXELS_OF_FOUR = 2 };
#endif

/* Terms of two vectors between two jumps. Clang would load the weights of four at once, for which AVX-512 has no
   registers left beside the sums: it kept a third of them on the stack. */
#if defined(__clang__) && VBYTES == 64
#define TERMS 1
#else
#define TERMS 4
#endif

/* How a sum walks: for each of `blocks` blocks of x, each row of the kernel and each of its columns a run of values
   that are neighbours in memory (a whole row's columns are one run where nothing lies between them). */
typedef struct {
    size blocks, rows, columns, run;
    size lead, first_run, last_run; /* of the first block, without `lead` channels, and the last or only one */
    size x_block, x_row, x_column;  /* elements from one to the next */
    size x_down, x_step, y_down, y_step, y_block, other_down, other_step, other_block; /* from pixel to pixel */
    int resume, add, relu; /* resume: from what stands in y, a sum over earlier blocks, in place of the bias */
    int capped;            /* sums above `cap` are cap */
    T cap;
} channel_walk;

/* The functions at the end of a sum that is in a register. */
INLINE V end_of_sum(V sum, int rectified, int capped, T cap) {
    if (rectified) sum = relu(sum);
    return capped ? at_most(sum, cap) : sum;
}

/* One channel of one place of the kernel. The loops have constant ends, and leave out what a tile has not: Clang 14
   looks at them before it knows the sizes, and would keep sums in memory. */
INLINE void channel_term(const int M, const int R, const int Q, const T *w, const T *x, size x_down, size x_step,
                         V acc[4][PIXELS]) {
    V weights[4];
    UNROLL for (int m = 0; m < M; m++) weights[m] = load(w + m * L);
    UNROLL for (int p = 0; p < PIXELS; p++) {
        if (p >= R * Q) continue;
        T s = x[p / Q * x_down + p % Q * x_step];
        UNROLL for (int m = 0; m < 4; m++) {
            if (m < M) acc[m][p] += s * weights[m];
        }
    }
}

INLINE void channel_tile(const int M, const int R, const int Q, const channel_walk *walk, const T *w, const T *x,
                         const T *bias, const T *other, T *y) {
    V acc[4][PIXELS];
    const size x_down = walk->x_down, x_step = walk->x_step;
    UNROLL for (int m = 0; m < M; m++) {
        UNROLL for (int i = 0; i < R; i++) {
            UNROLL for (int j = 0; j < Q; j++) {
                const T *sum = y + m * walk->y_block + i * walk->y_down + j * walk->y_step;
                acc[m][i * Q + j] = load(walk->resume ? sum : bias + m * L);
            }
        }
    }
    const T *in = x + walk->lead;
    size run = walk->blocks > 1 ? walk->first_run : walk->last_run;
    for (size block = 1;; block++) {
        for (size row = 0; row < walk->rows; row++) {
            for (size column = 0; column < walk->columns; column++) {
                const T *at = in + row * walk->x_row + column * walk->x_column;
                if (M == 2) { /* two vectors are used most; unrolled, tiles are four times as large */
                    UNROLL_BY(TERMS)
                    for (size k = 0; k < run; k++) channel_term(M, R, Q, w + k * M * L, at + k, x_down, x_step, acc);
                } else {
                    for (size k = 0; k < run; k++) channel_term(M, R, Q, w + k * M * L, at + k, x_down, x_step, acc);
                }
                w += run * M * L;
            }
        }
        if (block >= walk->blocks) break;
        in = x + block * walk->x_block;
        run = block + 1 < walk->blocks ? walk->run : walk->last_run;
    }
    UNROLL for (int m = 0; m < M; m++) {
        UNROLL for (int i = 0; i < R; i++) {
            UNROLL for (int j = 0; j < Q; j++) {
                V v = acc[m][i * Q + j];
                if (walk->add) v += load(other + m * walk->other_block + i * walk->other_down + j * walk->other_step);
                store(y + m * walk->y_block + i * walk->y_down + j * walk->y_step,
                      end_of_sum(v, walk->relu, walk->capped, walk->cap));
            }
        }
    }
}

/* DO(m, r, q) for q from 1 on. */
#define TO_2(DO, m, r) DO(m, r, 1) DO(m, r, 2)
#define TO_3(DO, m, r) TO_2(DO, m, r) DO(m, r, 3)
#define TO_6(DO, m, r) TO_3(DO, m, r) DO(m, r, 4) DO(m, r, 5) DO(m, r, 6)
#define TO_7(DO, m, r) TO_6(DO, m, r) DO(m, r, 7)
#define TO_10(DO, m, r) TO_7(DO, m, r) DO(m, r, 8) DO(m, r, 9) DO(m, r, 10)
#define TO_14(DO, m, r) TO_10(DO, m, r) DO(m, r, 11) DO(m, r, 12) DO(m, r, 13) DO(m, r, 14)

#if VBYTES == 64
#define TO_PIXELS_OF_TWO(DO, m, r) TO_7(DO, m, r)
#define OF_ONE_ROW(DO, m) TO_14(DO, m, 1)
#define FEW_VECTORS(DO, m) OF_ONE_ROW(DO, m) TO_7(DO, m, 2)
#define MANY_VECTORS(DO, m) TO_6(DO, m, 1)
#else
#define TO_PIXELS_OF_TWO(DO, m, r) TO_3(DO, m, r)
#define OF_ONE_ROW(DO, m) TO_6(DO, m, 1)
#define FEW_VECTORS(DO, m) OF_ONE_ROW(DO, m) TO_3(DO, m, 2)
#define MANY_VECTORS(DO, m) TO_2(DO, m, 1)
#endif
#define CHANNEL_TILES(DO) FEW_VECTORS(DO, 1) FEW_VECTORS(DO, 2) MANY_VECTORS(DO, 3) MANY_VECTORS(DO, 4)

/* Each size is a function of its own: in one Clang would join their ends, and keep sums in memory there. */
#define DEFINE(m, r, q) \
    ONE_COPY void channel_tile_##m##_##r##_##q(const channel_walk *walk, const T *w, const T *x, const T *bias, \
                                               const T *other, T *y) { \
        channel_tile(m, r, q, walk, w, x, bias, other, y); \
    }
CHANNEL_TILES(DEFINE)
#undef DEFINE

static void channel_tile_of(size M, size R, size Q, const channel_walk *walk, const T *w, const T *x, const T *bias,
                            const T *other, T *y) {
#define CASE(m, r, q) \
    case (m * 4 + r) * 16 + q: channel_tile_##m##_##r##_##q(walk, w, x, bias, other, y); break;
    switch ((M * 4 + R) * 16 + Q) { CHANNEL_TILES(CASE) }
#undef CASE
}

#endif
