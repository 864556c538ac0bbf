/* The linear layer's three matrix products, all by the register tile: no other matrix product runs in a training step.

   forward  y[o] = sum_f w[o, f] x[f]     vectors: images in lanes, one block after another
   dx       dx[f] = sum_o w[o, f] dy[o]   likewise
   dw       dw[o, f] = sum_n dy[o, n] x[n, f]   vectors: L features of one image; x is transposed for that */
#ifndef MINIDL_LANES_LINEAR_H
#define MINIDL_LANES_LINEAR_H

#include <string.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"
#include "linear_few.h"
#include "source.h"
#include "sweep.h"

typedef struct {
    sweep_plan plan;
    const T *in;
    T *out;
    size chunks;
} product_job;

static int product_task(void *context, ptrdiff_t task) {
    const product_job *job = context;
    sweep_plan plan = job->plan;
    size tiles = tile_count(plan.M, TILE_M);
    plan.m0 = tile_start(plan.M, tiles, task * tiles / job->chunks);
    plan.m1 = tile_start(plan.M, tiles, (task + 1) * tiles / job->chunks);
    sweep(&plan, job->in, job->out, NULL);
    return 0;
}

static int product(const sweep_plan *plan, const T *in, T *out, int parallel) {
    size chunks = larger(1, smaller(32, tile_count(plan->M, TILE_M)));
    product_job job = {*plan, in, out, chunks};
    return pool_run(product_task, &job, chunks, parallel);
}

static int linear_forward(const linear_forward_args *a) {
    size blocks = blocks_of(a->n), zero = 0;
    if (!blocks || !a->O) return 0;
    if (is_few(a->n, a->F, a->O)) return few_forward(a);
    sweep_plan plan = {
        .walk = {&zero, 1, a->F, a->F, L, 1, a->F, 0},
        .rows = 1,
        .columns = blocks,
        .in_column = a->F * L,
        .out_column = a->O * L,
        .M = a->O,
        .out_m = L,
        .a = a->w,
        .bias = a->b,
        .relu = a->relu,
    };
    return product(&plan, a->x, a->y, blocks * a->F * a->O > PARALLEL_FROM);
}

/* dx reads a column of w for every feature. Where w is larger than a cache, each task first copies PANEL columns at a
   time into the order of the tile: rows of w may lie a multiple of 4096 bytes apart and then share one set of the
   cache. */
enum { PANEL = 16 * TILE_M, PACK_FROM_BYTES = 1 << 20 };

typedef struct {
    const linear_backward_args *a;
    const T *dy;
    sweep_plan plan;
    size panels;
} linear_dx_job;

static int linear_dx_task(void *context, ptrdiff_t panel) {
    const linear_dx_job *job = context;
    size F = job->a->F, O = job->a->O, f0 = panel * F / job->panels, M = (panel + 1) * F / job->panels - f0;
    T *packed = pool_scratch(SCRATCH_TASK, (size_t)(M * O) * sizeof(T));
    if (!packed) return -1;
    size tiles = tile_count(M, TILE_M);
    for (size o = 0; o < O; o++) {
        const T *w = (const T *)job->a->w + o * F + f0;
        for (size t = 0; t < tiles; t++) {
            size m = tile_start(M, tiles, t), count = tile_start(M, tiles, t + 1) - m;
            for (size i = 0; i < count; i++) packed[m * O + o * count + i] = w[m + i];
        }
    }
    sweep_plan plan = job->plan;
    plan.M = plan.m1 = M;
    plan.a = packed;
    plan.terms = plan.piece = O;
    plan.packed = 1;
    sweep(&plan, job->dy, (T *)job->a->dx + f0 * L, NULL);
    return 0;
}

static int linear_dx(const linear_backward_args *a, const T *dy) {
    size blocks = blocks_of(a->n), F = a->F, O = a->O, zero = 0;
    sweep_plan plan = {
        .walk = {&zero, 1, O, O, L, F, 1, 0},
        .rows = 1,
        .columns = blocks,
        .in_column = O * L,
        .out_column = F * L,
        .M = F,
        .out_m = L,
        .a = a->w,
    };
    if (O * F * (size)sizeof(T) < PACK_FROM_BYTES) return product(&plan, dy, a->dx, blocks * F * O > PARALLEL_FROM);
    linear_dx_job job = {a, dy, plan, 2 * ceil_div(F, 2 * PANEL)}; /* even: two threads get as many each */
    return pool_run(linear_dx_task, &job, job.panels, 1);
}

/* dw: x stands as [panel of TILE_P * L features][image][feature], so that a tile reads consecutive memory. */
enum { DW_PANEL = TILE_P * L };

typedef struct {
    const linear_backward_args *a;
    const T *dy;
    T *transposed, *tail;
    size *offset;
    size panels, chunks,
        halves; /* tasks: for each half of the outputs, chunks of the panels: as the update's tasks lie */
} linear_dw_job;

/* Features of one panel: (F, L) of every block -> (n, DW_PANEL), zeros behind F. */
static int transpose_task(void *context, ptrdiff_t panel) {
    const linear_dw_job *job = context;
    size F = job->a->F, blocks = blocks_of(job->a->n);
    for (size b = 0; b < blocks; b++) {
        T *out = job->transposed + (panel * blocks + b) * L * DW_PANEL;
        for (size p = 0; p < DW_PANEL; p += L) {
            size f = panel * DW_PANEL + p;
            const T *x = (const T *)job->a->x + (b * F + f) * L;
            V square[L];
            UNROLL for (int i = 0; i < L; i++) square[i] = f + i < F ? load(x + i * L) : (V){0};
            transpose(square);
            UNROLL for (int i = 0; i < L; i++) store(out + i * DW_PANEL + p, square[i]);
        }
    }
    return 0;
}

/* A chunk of the panels; the features behind the last whole vector go through `tail`. */
static int linear_dw_task(void *context, ptrdiff_t task) {
    const linear_dw_job *job = context;
    size F = job->a->F, O = job->a->O, n = job->a->n, blocks = blocks_of(n), panel_size = blocks * L * DW_PANEL;
    size chunk = task % job->chunks, half = task / job->chunks, tiles = tile_count(O, TILE_M);
    size m0 = tile_start(O, tiles, half * tiles / job->halves),
         m1 = tile_start(O, tiles, (half + 1) * tiles / job->halves);
    size p0 = chunk * job->panels / job->chunks, p1 = (chunk + 1) * job->panels / job->chunks,
         whole = smaller(p1, F / DW_PANEL);
    sweep_plan plan = {
        .walk = {job->offset, blocks, L, n - (blocks - 1) * L, DW_PANEL, 1, L, O * L},
        .rows = whole - p0,
        .columns = TILE_P,
        .in_row = panel_size,
        .in_column = L,
        .out_row = DW_PANEL,
        .out_column = L,
        .M = O,
        .m0 = m0,
        .m1 = m1,
        .out_m = F,
        .a = job->dy,
    };
    T *dw = job->a->dw;
    if (whole > p0) sweep(&plan, job->transposed + p0 * panel_size, dw + p0 * DW_PANEL, NULL);
    if (p1 <= whole) return 0;
    const T *last = job->transposed + whole * panel_size;
    size f = whole * DW_PANEL, vectors = (F - f) / L;
    plan.rows = 1;
    plan.columns = vectors;
    if (vectors) sweep(&plan, last, dw + f, NULL);
    f += vectors * L;
    if (f == F) return 0;
    plan.columns = 1;
    plan.out_m = L;
    sweep(&plan, last + vectors * L, job->tail, NULL);
    for (size o = m0; o < m1; o++) memcpy(dw + o * F + f, job->tail + o * L, (size_t)(F - f) * sizeof(T));
    return 0;
}

static int linear_dw(const linear_backward_args *a, const T *dy, T *transposed, T *tail) {
    size blocks = blocks_of(a->n), panels = ceil_div(a->F, DW_PANEL);
    linear_dw_job job = {
        a, dy, transposed, tail, (size *)(tail + a->O * L), panels, smaller(panels, 16), a->O >= 2 * TILE_M ? 2 : 1};
    int parallel = blocks * a->F * a->O > PARALLEL_FROM;
    for (size b = 0; b < blocks; b++) job.offset[b] = b * L * DW_PANEL;
    if (pool_run(transpose_task, &job, panels, parallel)) return -1;
    return pool_run(linear_dw_task, &job, job.chunks * job.halves, parallel);
}

static int linear_backward(const linear_backward_args *a) {
    size blocks = blocks_of(a->n), O = a->O, F = a->F, width = ceil_div(F, DW_PANEL) * DW_PANEL;
    if (!blocks) {
        if (a->dw) memset(a->dw, 0, (size_t)(O * F) * sizeof(T));
        if (a->db) memset(a->db, 0, (size_t)O * sizeof(T));
        return 0;
    }
    if (!O || !F) {
        if (a->dx) memset(a->dx, 0, (size_t)(blocks * F) * VBYTES);
        if (a->db) memset(a->db, 0, (size_t)O * sizeof(T));
        if (!O) return 0;
    }
    size floats = blocks * O * L + blocks * L * width + O * L;
    T *masked = pool_scratch(SCRATCH_CALL, (size_t)floats * sizeof(T) + (size_t)blocks * sizeof(size));
    if (!masked) return -1;
    const T *dy = a->dy;
    if (a->relu_y) {
        row_source source = {.x = dy, .relu_y = a->relu_y, .C = 1, .H = 1, .W = O};
        for (size b = 0; b < blocks; b++) source_row(&source, b, 0, 0, masked + b * O * L);
        dy = masked;
    }
    if (a->db) {
        for (size o = 0; o < O; o++) {
            V sum = {0};
            for (size b = 0; b < blocks; b++) sum += load(dy + (b * O + o) * L);
            ((T *)a->db)[o] = sum_vector(sum);
        }
    }
    if (is_few(a->n, F, O)) return few_backward(a, dy, masked + O * L);
    if (a->dx && F && linear_dx(a, dy)) return -1;
    if (!a->dw || !F) return 0;
    T *transposed = masked + blocks * O * L;
    return linear_dw(a, dy, transposed, transposed + blocks * L * width);
}

#endif
