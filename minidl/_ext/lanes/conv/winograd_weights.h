/* A convolution in Winograd's form, and its weights: G w G^T, in the order in which the register tile reads them. */
#ifndef MINIDL_LANES_CONV_WINOGRAD_WEIGHTS_H
#define MINIDL_LANES_CONV_WINOGRAD_WEIGHTS_H

#include <stdint.h>

#include "../../core/kernels.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../../core/winograd.h"
#include "../source.h"

typedef struct {
    size rows, columns; /* of a tile's outputs: 2 x 2, 2 x 4 or 4 x 4 */
} winograd_size;

/* Vector operations for one map, counted: products, transforms of the input, transforms of the output. */
INLINE size winograd_cost(winograd_size m, size R, size M, size H, size W) {
    size tiles = ceil_div(H, m.rows) * ceil_div(W, m.columns), area = (m.rows + 2) * (m.columns + 2);
    size in = area == 16 ? 64 : area == 24 ? 124 : 228, out = area == 16 ? 48 : area == 24 ? 84 : 140;
    return tiles * (area * M * R + in * R + out * M);
}

/* As many for each weight, once for all blocks: its transform, which no cache holds. */
enum { WINOGRAD_WEIGHT = 12 };

/* One convolution in this form. R, M: channels summed over and made, of each group, from one to the next w_r and w_m
   elements of w; the kernel is turned by 180 degrees if `turned`. The first tile starts at pixel (-top, -left). */
typedef struct {
    row_source source;
    size n, groups, R, M, H, W; /* H, W of the output */
    size top, left, w_m, w_r;
    const T *w, *bias;
    int turned, relu, pool;
    winograd_size m;
    T *y;
    uint8_t *code;
    /* set by winograd() */
    size tile_rows, tile_columns, bands, blocks_each, chunk; /* of a task: a band of some blocks */
    T *weights;
} winograd_job;

INLINE size winograd_tiles(const winograd_job *job) { return tile_count(job->M, TILE_M); }

/* Where the transformed weights of output channels from m0 on, register tile t of a group, start. Behind those of a
   frequency lies one vector more, so that the frequencies do not fall on one set of the cache. */
INLINE T *winograd_weights_at(const winograd_job *job, size group, size t, size m0) {
    size frequencies = (job->m.rows + 2) * (job->m.columns + 2);
    return job->weights + ((group * job->M + m0) * job->R + (group * winograd_tiles(job) + t) * L) * frequencies;
}

/* Transformed weights of one register tile of one group: [frequency][r][i], L pairs of r and i at a time. */
INLINE void winograd_weights(const int mh, const int mw, const winograd_job *job, ptrdiff_t task) {
    size tiles = winograd_tiles(job), t = task % tiles, group = task / tiles;
    size m0 = tile_start(job->M, tiles, t), M = tile_start(job->M, tiles, t + 1) - m0, pairs = job->R * M, r = 0, i = 0;
    const T *w = job->w + group * (job->turned ? job->R * job->w_r : job->M * job->w_m) + m0 * job->w_m;
    T *out = winograd_weights_at(job, group, t, m0);
    for (size first = 0; first < pairs; first += L) {
        T nine[9][L] = {{0}};
        V g[9], u[3][WINOGRAD_SIDE], v[WINOGRAD_SIDE];
        for (size lane = 0; lane < smaller(L, pairs - first); lane++) {
            const T *from = w + i * job->w_m + r * job->w_r;
            UNROLL for (int k = 0; k < 9; k++) nine[k][lane] = from[job->turned ? 8 - k : k];
            if (++i == M) r++, i = 0;
        }
        UNROLL for (int k = 0; k < 9; k++) g[k] = loadu(nine[k]);
        UNROLL for (int k = 0; k < 3; k++) weight_values(mh, g[k], g[3 + k], g[6 + k], u[k]);
        UNROLL for (int f = 0; f < mh + 2; f++) {
            weight_values(mw, u[0][f], u[1][f], u[2][f], v);
            UNROLL for (int j = 0; j < mw + 2; j++) storeu(out + ((mw + 2) * f + j) * (pairs + L) + first, v[j]);
        }
    }
}

static int winograd_weights_task(void *context, ptrdiff_t task) {
    const winograd_job *job = context;
    if (job->m.columns == 2) winograd_weights(2, 2, job, task);
    else if (job->m.rows == 2) winograd_weights(2, 4, job, task);
    else winograd_weights(4, 4, job, task);
    return 0;
}

#endif
