/* How a weight gradient is dealt to tasks: first by bands of the batch, while the partial gradients stay small, then by
   channels. */
#ifndef MINIDL_LANES_CONV_SHARES_H
#define MINIDL_LANES_CONV_SHARES_H

#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/tile.h"
#include "../../core/vector.h"

enum { GRAD_TASKS = 16, PARTIAL_BYTES = 1 << 21 };

INLINE size grad_shares(size bands, size gradient_bytes) {
    return larger(1, smaller(smaller(GRAD_TASKS, bands), PARTIAL_BYTES / larger(1, gradient_bytes)));
}

typedef struct {
    size groups, C, O;       /* channels of each group, to be dealt */
    size c_chunks, o_chunks; /* in so many parts each */
    size shares;
} grad_deal;

INLINE size grad_tasks(const grad_deal *d) { return d->shares * d->groups * d->o_chunks * d->c_chunks; }

/* What a task does: a share of the bands, and the sums of some channels of one group. The tasks of a share follow each
   other: one thread mostly does them all, with x and dy in its own cache. */
typedef struct {
    size share, group, c0, C, o0, O; /* C channels of x from c0 on, O of dy from o0 on, counted in the group */
} grad_part;

INLINE grad_part grad_part_of(const grad_deal *d, size task) {
    size chunks = d->c_chunks * d->o_chunks, o = task / d->c_chunks % d->o_chunks, c = task % d->c_chunks;
    grad_part part = {.share = task / (chunks * d->groups), .group = task / chunks % d->groups};
    part.c0 = tile_start(d->C, d->c_chunks, c);
    part.C = tile_start(d->C, d->c_chunks, c + 1) - part.c0;
    part.o0 = tile_start(d->O, d->o_chunks, o);
    part.O = tile_start(d->O, d->o_chunks, o + 1) - part.o0;
    return part;
}

/* The bands of a batch: some rows of dy of some blocks each. */
typedef struct {
    size blocks, rows;           /* of the batch */
    size blocks_each, rows_each; /* of a band */
} grad_bands;

INLINE size row_bands(const grad_bands *b) { return ceil_div(b->rows, b->rows_each); }
INLINE size band_count(const grad_bands *b) { return ceil_div(b->blocks, b->blocks_each) * row_bands(b); }

/* The first band of a share. */
INLINE size share_start(const grad_bands *b, size share, size shares) { return share * band_count(b) / shares; }

/* Blocks [b0, b1) and rows [r0, r1) of dy. */
typedef struct {
    size b0, b1, r0, r1;
} grad_band;

INLINE grad_band band_at(const grad_bands *b, size band) {
    size b0 = band / row_bands(b) * b->blocks_each, r0 = band % row_bands(b) * b->rows_each;
    return (grad_band){b0, smaller(b->blocks, b0 + b->blocks_each), r0, smaller(b->rows, r0 + b->rows_each)};
}

typedef struct {
    const T *partial;
    T *sum;
    size count, shares, step;
} reduce_job;

enum { REDUCE_CHUNK = 4096 };

static int reduce_task(void *context, ptrdiff_t task) {
    const reduce_job j = *(const reduce_job *)context;
    size from = task * REDUCE_CHUNK, to = smaller(j.count, from + REDUCE_CHUNK);
    for (size i = from; i < to; i++) {
        T sum = j.partial[i];
        for (size s = 1; s < j.shares; s++) sum += j.partial[s * j.step + i];
        j.sum[i] = sum;
    }
    return 0;
}

/* sum[i] = partial[0][i] + partial[1][i] + ..., `step` elements from one share to the next. */
static int reduce(const T *partial, T *sum, size count, size shares, size step) {
    reduce_job job = {partial, sum, count, shares, step};
    return pool_run(reduce_task, &job, ceil_div(count, REDUCE_CHUNK), count * shares > 8 * PARALLEL_FROM);
}

#endif
