/* Weight gradient of a 3x3 convolution, stride 1, by Winograd's method along both axes: the transpose of F(m x 4, 3x3).

   dw = G^T [sum over tiles of (A dy A^T) * (B^T x B)] G, for tiles of m rows and 4 columns of dy. m = 2: 24 products
   for 8 pixels, where the direct sum takes 72 and winograd_dw.h 36. m = 4: 36 for 16.

   The sums over tiles and images are matrix products by the register tile: x stands as [product][tile, image][channel],
   transposed as in linear.h, and the values of dy are its scalars. The products of two rows of a tile, which share
   sums, are made at a time, so that they fit a cache. Tasks are shares of the tiles and chunks of the channels. db is
   the sum of the tiles' sums, which stand behind the products of dy. */
#ifndef MINIDL_LANES_CONV_WINOGRAD_DW2D_H
#define MINIDL_LANES_CONV_WINOGRAD_DW2D_H

#include <string.h>

#include "../../core/kernels.h"
#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../../core/winograd.h"
#include "../source.h"
#include "../sweep.h"
#include "shares.h"
#include "winograd_dw2d_tiles.h"

/* What a task works on: channels, first tile of its share, its memory. */
typedef struct {
    size group, c0, width, o0, O, first, x_step, g_step;
    T *x, *dy, *copy, *sums, *db;
} dw2d_chunk;

/* Both transforms and the products of one pair of rows for the tiles [t0, t1), added to the sums. */
INLINE void dw2d_pair(const int m, int pair, const winograd_dw2d_job *job, const dw2d_chunk *k, size t0, size t1) {
    const geometry g = job->a->g;
    size Og = g.O / g.G, offset[DW2D_TILES];
    dw2d_inputs(m, pair, job, k->group, k->c0, smaller(k->width, g.C / g.G - k->c0), k->width, t0, t1, k->x, k->x_step);
    dw2d_gradients(m, pair, job, k->group * Og + k->o0, k->O, t0, t1, k->copy, k->dy, k->g_step);
    for (size t = 0; t < DW2D_TILES; t++) offset[t] = t * L * k->width;
    for (size f = 0; f < PAIR_PRODUCTS; f++) {
        sweep_plan plan = {
            .walk = {offset, t1 - t0, L, L, k->width, 1, DW2D_TILES * L, L},
            .rows = 1,
            .columns = k->width / L,
            .in_column = L,
            .out_column = L,
            .M = k->O,
            .m0 = 0,
            .m1 = k->O,
            .out_m = job->width,
            .a = k->dy + f * k->g_step,
            .add = t0 > k->first,
        };
        sweep(&plan, k->x + f * k->x_step, k->sums + (pair * PAIR_PRODUCTS + f) * Og * job->width, NULL);
    }
    if (!k->db || pair != 1) return;
    for (size o = 0; o < k->O; o++) {
        V sum = {0};
        for (size t = 0; t < t1 - t0; t++) sum += load(k->dy + PAIR_PRODUCTS * k->g_step + (o * DW2D_TILES + t) * L);
        k->db[o] += sum_vector(sum);
    }
}

static int winograd_dw2d_task(void *context, ptrdiff_t task) {
    const winograd_dw2d_job *job = context;
    const geometry g = job->a->g;
    const grad_part part = grad_part_of(&job->deal, task);
    size share = part.share, group = part.group, Og = g.O / g.G, c0 = part.c0 * L, width = part.C * L, o0 = part.o0,
         O = part.O;
    /* One vector more each, so that the products do not fall on one set of the cache. */
    size x_step = DW2D_TILES * L * width + L, g_step = O * DW2D_TILES * L + L;
    size copied = source_copies(&job->source) ? TILE_ROWS * g.OW * L : 0;
    T *x = pool_scratch(SCRATCH_TASK, (size_t)(PAIR_PRODUCTS * (x_step + g_step) + g_step + copied) * sizeof(T));
    if (!x) return -1;
    size first = share * job->tiles / job->deal.shares, last = (share + 1) * job->tiles / job->deal.shares;
    dw2d_chunk k = {
        .group = group,
        .c0 = c0,
        .width = width,
        .o0 = o0,
        .O = O,
        .first = first,
        .x_step = x_step,
        .g_step = g_step,
        .x = x,
        .dy = x + PAIR_PRODUCTS * x_step,
        .copy = x + PAIR_PRODUCTS * (x_step + g_step) + g_step,
        .sums = job->sums + share * job->share_step +
                (group * row_pairs(job->m) * PAIR_PRODUCTS * Og + o0) * job->width + c0,
        .db = job->db && part.c0 == 0 ? job->db + share * job->share_step + group * Og + o0 : NULL,
    };
    if (k.db) memset(k.db, 0, (size_t)O * sizeof(T));
    for (size t = first; t < last; t += DW2D_TILES) {
        size until = smaller(last, t + DW2D_TILES);
        if (job->m == 2) {
            dw2d_pair(2, 0, job, &k, t, until);
            dw2d_pair(2, 1, job, &k, t, until);
        } else {
            dw2d_pair(4, 0, job, &k, t, until);
            dw2d_pair(4, 1, job, &k, t, until);
            dw2d_pair(4, 2, job, &k, t, until);
        }
    }
    return 0;
}

/* All weights of output channel o: G^T sums G. */
static int winograd_dw2d_last_task(void *context, ptrdiff_t o) {
    const winograd_dw2d_job *job = context;
    const geometry g = job->a->g;
    size pairs = row_pairs(job->m), place[][2] = {{0, job->m + 1}, {1, 2}, {3, 4}};
    size Og = g.O / g.G, Cg = g.C / g.G, step = Og * job->width;
    const T *sums = job->sums + (o / Og * pairs * PAIR_PRODUCTS * Og + o % Og) * job->width;
    T *dw = (T *)job->a->dw + o * Cg * 9;
    for (size c = 0; c < Cg; c += L) {
        V rows[3][WINOGRAD_SIDE], w[3];
        for (size pair = 0; pair < pairs; pair++) {
            for (int i = 0; i < 2; i++) {
                V p[WINOGRAD_SIDE];
                for (int j = 0; j < WINOGRAD_SIDE; j++) {
                    const T *from = sums + ((pair * 2 + i) * WINOGRAD_SIDE + j) * step + c;
                    p[j] = load(from);
                    for (size s = 1; s < job->deal.shares; s++) p[j] += load(from + s * job->share_step);
                }
                weight_axis(TILE_COLUMNS, p, w);
                for (int k = 0; k < 3; k++) rows[k][place[pair][i]] = w[k];
            }
        }
        for (int kw = 0; kw < 3; kw++) {
            if (job->m == 2) weight_axis(2, rows[kw], w);
            else weight_axis(4, rows[kw], w);
            for (int kh = 0; kh < 3; kh++)
                for (size i = 0; i < smaller(L, Cg - c); i++) dw[(c + i) * 9 + kh * 3 + kw] = w[kh][i];
        }
    }
    return 0;
}

/* Vector operations, counted; as winograd_dw_cost. */
INLINE size winograd_dw2d_cost(const geometry *g, size m) {
    size C = g->C / g->G, O = g->O / g->G, width = ceil_div(C, L) * L, products = 12 * row_pairs(m);
    size tiles = ceil_div(g->OH, m) * ceil_div(g->OW, TILE_COLUMNS), of_x = m == 2 ? 300 : 500, of_dy = of_x / 2;
    return tiles *
           ((products + 2) * O * width + of_x * C * ceil_div(O, DW2D_OUTPUTS) + of_dy * O * ceil_div(C, DW2D_INPUTS));
}

/* As many for each weight, once for all blocks: the last transform, whose sums no cache holds. */
enum { DW2D_WEIGHT = 16 };

static int winograd_dw2d(const conv_backward_args *a, const row_source *source, size m) {
    const geometry g = a->g;
    size Cg = g.C / g.G, Og = g.O / g.G, vectors = ceil_div(Cg, L), width = vectors * L;
    size tile_rows = ceil_div(g.OH, m), tile_columns = ceil_div(g.OW, TILE_COLUMNS);
    size tiles = blocks_of(g.n) * tile_rows * tile_columns;
    size products = row_pairs(m) * PAIR_PRODUCTS * g.O * width, step = products + ceil_div(g.O, L) * L;
    grad_deal deal = {.groups = g.G,
                      .C = vectors,
                      .O = Og,
                      .c_chunks = ceil_div(vectors, DW2D_INPUTS / L),
                      .o_chunks = ceil_div(Og, DW2D_OUTPUTS)};
    size fit = DW2D_PARTIAL_BYTES / (step * (size)sizeof(T));
    deal.shares = larger(1, smaller(smaller(GRAD_TASKS, ceil_div(tiles, DW2D_TILES)), fit));
    T *sums = pool_scratch(SCRATCH_CALL, (size_t)(deal.shares * step) * sizeof(T));
    if (!sums) return -1;
    winograd_dw2d_job job = {
        .a = a,
        .source = *source,
        .m = m,
        .width = width,
        .deal = deal,
        .tile_rows = tile_rows,
        .tile_columns = tile_columns,
        .tiles = tiles,
        .sums = sums,
        .db = a->db ? sums + products : NULL,
        .share_step = step,
    };
    if (pool_run(winograd_dw2d_task, &job, grad_tasks(&deal), tiles * products > PARALLEL_FROM)) return -1;
    if (pool_run(winograd_dw2d_last_task, &job, g.O, g.O * Cg * deal.shares > PARALLEL_FROM / 16)) return -1;
    return a->db ? reduce(job.db, a->db, g.O, deal.shares, step) : 0;
}

#endif
