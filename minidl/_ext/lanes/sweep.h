/* A register tile swept over all output pixels of a band: the block loop's inner half, shared by convolution forward
   and backward and by the linear layer. Also the packing of weights into the order in which the tile reads them. */
#ifndef MINIDL_LANES_SWEEP_H
#define MINIDL_LANES_SWEEP_H

#include <stdint.h>

#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/tile.h"

typedef struct {
    tile_walk walk;
    size rows, columns;          /* output pixels, or 2 x 2 windows of them */
    size in_row, in_column;      /* steps between output pixels in the packed input, elements */
    size out_row, out_column;    /* steps between stored values */
    size M, m0, m1, out_m;       /* output channels in all, those to do, elements between them */
    const T *a, *bias;           /* packed weights: tile after tile; else a_row, a_step of walk hold */
    size terms, first, piece;    /* of packed weights: of an output channel, before the walk's first, of a whole run */
    int packed, relu, pool, add; /* add: to what stands in the output */
} sweep_plan;

static void sweep_tile(const sweep_plan *s, tile_walk *walk, size m0, int M, const T *a, const T *in, T *out,
                       uint8_t *code) {
    tile_store to = {s->bias ? s->bias + m0 : NULL, s->out_m, s->relu, s->add};
    T *y = out + m0 * s->out_m;
    if (s->pool) {
        for (size r = 0; r < s->rows; r++) {
            for (size c = 0; c < s->columns; c++) {
                const T *x0 = in + 2 * (r * s->in_row + c * s->in_column);
                const T *x[4] = {x0, x0 + s->in_column, x0 + s->in_row, x0 + s->in_row + s->in_column};
                size at = r * s->out_row + c * s->out_column;
                tile_pool(M, walk, a, x, &to, s->pool, y + at, code ? code + m0 * s->out_m + at : NULL);
            }
        }
        return;
    }
    size r = 0, c = 0, left = s->rows * s->columns;
    while (left) {
        const T *x[TILE_P];
        T *at[TILE_P];
        int P = (int)smaller(left, TILE_P);
        for (int j = 0; j < P; j++) {
            x[j] = in + r * s->in_row + c * s->in_column;
            at[j] = y + r * s->out_row + c * s->out_column;
            if (++c == s->columns) c = 0, r++;
        }
        tile(M, P, walk, a, x, &to, at);
        left -= P;
    }
}

/* A single channel: its pixels row by row, or down a single column. */
static void sweep_lines(const sweep_plan *s, const tile_walk *walk, const T *a, const T *in, T *out) {
    tile_store to = {s->bias, 0, s->relu, 0};
    int down = s->columns == 1;
    size lines = down ? 1 : s->rows, length = down ? s->rows : s->columns;
    size x_pixel = down ? s->in_row : s->in_column, y_pixel = down ? s->out_row : s->out_column;
    for (size r = 0; r < lines; r++) {
        const T *x = in + r * s->in_row;
        T *y = out + r * s->out_row;
        for (size left = length; left;) {
            size P = left >= LINE_P ? LINE_P : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            switch (P) {
            case LINE_P: tile_line(LINE_P, walk, a, x, x_pixel, &to, y, y_pixel); break;
            case 4: tile_line(4, walk, a, x, x_pixel, &to, y, y_pixel); break;
            case 2: tile_line(2, walk, a, x, x_pixel, &to, y, y_pixel); break;
            default: tile_line(1, walk, a, x, x_pixel, &to, y, y_pixel);
            }
            x += P * x_pixel;
            y += P * y_pixel;
            left -= P;
        }
    }
}

static void sweep(const sweep_plan *s, const T *in, T *out, uint8_t *code) {
    tile_walk walk = s->walk;
    size tiles = tile_count(s->M, s->pool ? TILE_POOL_M : TILE_M);
    for (size t = 0; t < tiles; t++) {
        size m = tile_start(s->M, tiles, t), M = tile_start(s->M, tiles, t + 1) - m;
        if (m < s->m0 || m >= s->m1) continue;
        const T *a = s->a;
        if (s->packed) {
            walk.a_row = 1;
            walk.a_step = M;
            walk.a_piece = s->piece * M;
            a += m * s->terms + s->first * M;
        } else {
            a += m * walk.a_row;
        }
        if (s->M == 1 && s->packed && !s->pool) sweep_lines(s, &walk, a, in, out);
        else sweep_tile(s, &walk, m, (int)M, a, in, out, code);
    }
}

/* Weights in the order of the tile: dst[tile][tap][r][i] = w[(m0 + i) * w_m + r * w_r + tap[.]]. */
typedef struct {
    const T *w;
    T *dst;
    size M, R, taps, w_m, w_r, most;
    const size *tap;
} pack_weights_args;

static int pack_weights_task(void *context, ptrdiff_t t) {
    const pack_weights_args *p = context;
    size tiles = tile_count(p->M, p->most), m = tile_start(p->M, tiles, t), M = tile_start(p->M, tiles, t + 1) - m;
    T *dst = p->dst + m * p->R * p->taps;
    for (size k = 0; k < p->taps; k++) {
        for (size r = 0; r < p->R; r++) {
            const T *w = p->w + m * p->w_m + r * p->w_r + p->tap[k];
            for (size i = 0; i < M; i++) *dst++ = w[i * p->w_m];
        }
    }
    return 0;
}

static int pack_weights(const pack_weights_args *p) {
    size weights = p->M * p->R * p->taps;
    return pool_run(pack_weights_task, (void *)p, tile_count(p->M, p->most), weights > PARALLEL_FROM);
}

#endif
