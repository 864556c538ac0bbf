/* Weight gradient of a 3x3 convolution, stride 1, by Winograd's method along both axes: the transpose of F(m x 4, 3x3).

   dw = G^T [sum over tiles of (A dy A^T) * (B^T x B)] G, for tiles of m rows and 4 columns of dy. m = 2: 24 products
   for 8 pixels, where the direct sum takes 72 and winograd_dw.h 36, nearly as exact. m = 4: 36 for 16, which like the
   forward F(4x4) loses a digit, and runs only with it.

   The sums over tiles and images are matrix products by the register tile: x stands as [product][tile, image][channel],
   transposed as in linear.h, and the values of dy are its scalars. The products of two rows of a tile, which share
   sums, are made at a time, so that they fit a cache. Tasks are shares of the tiles and chunks of the channels. db is
   the sum over dy's product (1, 1), which is the tile's sum. */
#ifndef MINIDL_LANES_CONV_WINOGRAD_DW2D_H
#define MINIDL_LANES_CONV_WINOGRAD_DW2D_H

#include <string.h>

#include "../../core/kernels.h"
#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"
#include "../source.h"
#include "../sweep.h"
#include "shares.h"
#include "winograd_tile.h"

enum { TILE_COLUMNS = 4, TILE_ROWS = 4, PAIR_PRODUCTS = 12 };                                /* TILE_ROWS: at most */
enum { DW2D_TILES = 4, DW2D_OUTPUTS = 128, DW2D_INPUTS = 64, DW2D_PARTIAL_BYTES = 5 << 20 }; /* channels of a task */

INLINE size row_pairs(size m) { return m / 2 + 1; }

typedef struct {
    const conv_backward_args *a;
    row_source source;
    size m;                  /* rows of a tile of dy, 2 or 4 */
    size width;              /* channels of x in each group, in whole vectors */
    size c_chunks, o_chunks; /* of each group */
    size tile_rows, tile_columns, tiles, shares;
    T *sums, *db; /* of the first share: [group][row pair][product][o][c]; db is O values, or NULL */
    size share_step;
} winograd_dw2d_job;

/* What a task works on: channels, first tile of its share, its memory. */
typedef struct {
    size group, c0, width, o0, O, first, x_step, g_step;
    T *x, *dy, *copy, *sums, *db;
} dw2d_chunk;

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

/* Twelve products of a tile of dy: row[i] + w is its row i, NULL below the last one. ahead: as for input_products. */
INLINE void gradient_products(const int m, int pair, const T *const row[TILE_ROWS], size ahead, size w, size W, T *out,
                              size f_step) {
    V values[2][TILE_COLUMNS];
    UNROLL for (int j = 0; j < TILE_COLUMNS; j++) {
        V d[TILE_ROWS] = {{0}};
        UNROLL for (int i = 0; i < m; i++) {
            if (!row[i] || w + j >= W || (pair == 0 && i % (m - 1))) continue;
            d[i] = load(row[i] + (w + j) * L);
            __builtin_prefetch(row[i] + ahead + (w + j) * L);
        }
        gradient_pair(m, pair, d, &values[0][j], &values[1][j]);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        V p[WINOGRAD_SIDE];
        gradient_axis(TILE_COLUMNS, values[i], p);
        UNROLL for (int j = 0; j < WINOGRAD_SIDE; j++) store(out + (i * WINOGRAD_SIDE + j) * f_step, p[j]);
    }
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
        for (size t = 0; t < t1 - t0; t++) sum += load(k->dy + k->g_step + (o * DW2D_TILES + t) * L);
        k->db[o] += sum_vector(sum);
    }
}

static int winograd_dw2d_task(void *context, ptrdiff_t task) {
    const winograd_dw2d_job *job = context;
    const geometry g = job->a->g;
    grad_part part = grad_part_of(task, g.G, job->o_chunks, job->c_chunks);
    size share = part.share, group = part.group, Og = g.O / g.G, vectors = job->width / L;
    size c0 = tile_start(vectors, job->c_chunks, part.c_chunk) * L;
    size width = tile_start(vectors, job->c_chunks, part.c_chunk + 1) * L - c0;
    size o0 = tile_start(Og, job->o_chunks, part.o_chunk), O = tile_start(Og, job->o_chunks, part.o_chunk + 1) - o0;
    /* One vector more each, so that the products do not fall on one set of the cache. */
    size x_step = DW2D_TILES * L * width + L, g_step = O * DW2D_TILES * L + L;
    size copied = source_copies(&job->source) ? TILE_ROWS * g.OW * L : 0;
    T *x = pool_scratch(SCRATCH_TASK, (size_t)(PAIR_PRODUCTS * (x_step + g_step) + copied) * sizeof(T));
    if (!x) return -1;
    size first = share * job->tiles / job->shares, last = (share + 1) * job->tiles / job->shares;
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
        .copy = x + PAIR_PRODUCTS * (x_step + g_step),
        .sums = job->sums + share * job->share_step +
                (group * row_pairs(job->m) * PAIR_PRODUCTS * Og + o0) * job->width + c0,
        .db = job->db && part.c_chunk == 0 ? job->db + share * job->share_step + group * Og + o0 : NULL,
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
                    for (size s = 1; s < job->shares; s++) p[j] += load(from + s * job->share_step);
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

static int winograd_dw2d(const conv_backward_args *a, const row_source *source, size m) {
    const geometry g = a->g;
    size Cg = g.C / g.G, Og = g.O / g.G, vectors = ceil_div(Cg, L), width = vectors * L;
    size tile_rows = ceil_div(g.OH, m), tile_columns = ceil_div(g.OW, TILE_COLUMNS);
    size tiles = blocks_of(g.n) * tile_rows * tile_columns;
    size products = row_pairs(m) * PAIR_PRODUCTS * g.O * width, step = products + ceil_div(g.O, L) * L;
    size shares = larger(
        1, smaller(smaller(GRAD_TASKS, ceil_div(tiles, DW2D_TILES)), DW2D_PARTIAL_BYTES / (step * (size)sizeof(T))));
    T *sums = pool_scratch(SCRATCH_CALL, (size_t)(shares * step) * sizeof(T));
    if (!sums) return -1;
    winograd_dw2d_job job = {
        .a = a,
        .source = *source,
        .m = m,
        .width = width,
        .c_chunks = ceil_div(vectors, DW2D_INPUTS / L),
        .o_chunks = ceil_div(Og, DW2D_OUTPUTS),
        .tile_rows = tile_rows,
        .tile_columns = tile_columns,
        .tiles = tiles,
        .shares = shares,
        .sums = sums,
        .db = a->db ? sums + products : NULL,
        .share_step = step,
    };
    if (pool_run(winograd_dw2d_task, &job, g.G * job.o_chunks * job.c_chunks * shares,
                 tiles * products > PARALLEL_FROM))
        return -1;
    if (pool_run(winograd_dw2d_last_task, &job, g.O, g.O * Cg * shares > PARALLEL_FROM / 16)) return -1;
    return a->db ? reduce(job.db, a->db, g.O, shares, step) : 0;
}

#endif
