/* Products of two matrices of the same image, see matmul_args. In lanes both factors are vectors, an element of L
   images each; of a pixel array the vectors are L neighbouring columns, and a is scalars. Twin:
   minidl/kernels/reference/matmul.py. */
#ifndef MINIDL_CORE_MATMUL_H
#define MINIDL_CORE_MATMUL_H

#include <string.h>

#include "kernels.h"
#include "pool.h"
#include "sizes.h"
#include "tile.h"
#include "vector.h"

/* Terms that are summed in registers; a long sum in pieces loses less. */
enum { MATMUL_PIECE = 256 };

/* Writes a tile's sums, row by row, or adds them to what stands there; `count` elements of the last vector of a row. */
ONE_COPY void matmul_store(int M, int P, V sums[][ACC_P], int add, size count, VI mask, T *y, size y_row) {
    for (int i = 0; i < M; i++, y += y_row) {
        for (int j = 0; j < P; j++) {
            T *at = y + j * L;
            V v = sums[i][j];
            if (j < P - 1 || count == L) {
                storeu(at, (V)((VI)(add ? v + loadu(at) : v) & mask));
            } else {
                V old = {0};
                if (add) memcpy(&old, at, (size_t)count * sizeof(T));
                v = (V)((VI)(add ? v + old : v) & mask);
                memcpy(at, &v, (size_t)count * sizeof(T));
            }
        }
    }
}

/* A tile of M rows and P vectors of the product, `count` elements in the last one of these. */
INLINE void matmul_tile(const int M, const int P, const int lanes, const matmul_args *args, const T *a, const T *b,
                        T *y, size count, VI mask) {
    const size wide = lanes ? L : 1, y_row = args->columns * wide, a_row = args->a.outer * wide,
               a_step = args->a.inner * wide, b_step = args->b.inner * wide,
               b_column = lanes ? args->b.outer * L : (size)L;
    size pieces = larger(1, ceil_div(args->inner, MATMUL_PIECE));
    for (size t = 0; t < larger(1, args->again) * pieces; t++) {
        size r = t / pieces, from = t % pieces * MATMUL_PIECE;
        size terms = args->again ? smaller(MATMUL_PIECE, args->inner - from) : 0;
        const T *ak = a + r * args->a.step * wide + from * a_step, *bk = b + r * args->b.step * wide + from * b_step;
        V acc[ACC_M][ACC_P];
        UNROLL for (int i = 0; i < M; i++) { UNROLL for (int j = 0; j < P; j++) acc[i][j] = (V){0}; }
        for (size k = 0; k < terms; k++, ak += a_step, bk += b_step) {
            V bv[ACC_P];
            UNROLL for (int j = 0; j < P; j++) bv[j] = loadu(bk + j * b_column);
            UNROLL for (int i = 0; i < M; i++) {
                V av = lanes ? load(ak + i * a_row) : splat(ak[i * a_row]);
                UNROLL for (int j = 0; j < P; j++) acc[i][j] += av * bv[j];
            }
        }
        V sums[ACC_M][ACC_P]; /* a copy: the sums themselves never leave the registers */
        UNROLL for (int i = 0; i < M; i++) { UNROLL for (int j = 0; j < P; j++) sums[i][j] = acc[i][j]; }
        matmul_store(M, P, sums, t > 0, count, mask, y, y_row);
    }
}

/* A task is a few rows of the product of one group of one block, or image. */
INLINE void matmul_rows(const int lanes, const matmul_args *args, ptrdiff_t task) {
    const size wide = lanes ? L : 1;
    size tiles = tile_count(args->rows, TILE_M), block = task / tiles / args->groups,
         group = task / tiles % args->groups;
    size m = tile_start(args->rows, tiles, task % tiles), M = tile_start(args->rows, tiles, task % tiles + 1) - m;
    size vectors = lanes ? args->columns : ceil_div(args->columns, L), parts = tile_count(vectors, TILE_P);
    const T *a = (const T *)args->a.data + (block * args->a.F + group * args->a.step + m * args->a.outer) * wide;
    const T *b = (const T *)args->b.data + (block * args->b.F + group * args->b.step) * wide;
    T *y = (T *)args->y + ((block * args->groups + group) * args->rows + m) * args->columns * wide;
    VI mask = lanes ? lanes_below(args->n - block * L) : ~(VI){0};
    for (size part = 0; part < parts; part++) {
        size p = tile_start(vectors, parts, part), next = tile_start(vectors, parts, part + 1);
        size count = lanes ? L : smaller(L, args->columns - (next - 1) * L);
        const T *bp = b + p * L * (lanes ? args->b.outer : 1);
#define CASE(rows, columns) \
    case rows * 8 + columns: matmul_tile(rows, columns, lanes, args, a, bp, y + p * L, count, mask); break;
        switch (M * 8 + next - p) { TILE_SIZES(CASE) }
#undef CASE
    }
}

static int matmul_task(void *context, ptrdiff_t task) {
    matmul_rows(1, context, task);
    return 0;
}

static int matmul_pixels_task(void *context, ptrdiff_t task) {
    matmul_rows(0, context, task);
    return 0;
}

INLINE int matmul_run(pool_task task, const matmul_args *args, size blocks, size vectors) {
    matmul_args job = *args;
    size products = blocks * args->groups, work = products * args->rows * args->again * args->inner * vectors;
    return pool_run(task, &job, vectors ? products * tile_count(args->rows, TILE_M) : 0, work > PARALLEL_FROM);
}

static int matmul(const matmul_args *args) { return matmul_run(matmul_task, args, blocks_of(args->n), args->columns); }

static int matmul_pixels(const matmul_args *args) {
    return matmul_run(matmul_pixels_task, args, args->n, ceil_div(args->columns, L));
}

#endif
