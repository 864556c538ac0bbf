/* How a weight gradient is dealt to tasks: first by bands, while the partial gradients stay small, then by channels. */
#ifndef MINIDL_LANES_CONV_SHARES_H
#define MINIDL_LANES_CONV_SHARES_H

#include "../../core/pool.h"
#include "../../core/sizes.h"
#include "../../core/vector.h"

enum { GRAD_TASKS = 16, PARTIAL_BYTES = 1 << 21 };

INLINE size grad_shares(size bands, size gradient_bytes) {
    return larger(1, smaller(smaller(GRAD_TASKS, bands), PARTIAL_BYTES / larger(1, gradient_bytes)));
}

/* What a task does: a share of the bands, and the sums of some channels of one group. The tasks of a share follow each
   other: one thread mostly does them all, with x and dy in its own cache. */
typedef struct {
    size share, group, o_chunk, c_chunk;
} grad_part;

INLINE grad_part grad_part_of(size task, size groups, size o_chunks, size c_chunks) {
    size chunks = c_chunks * o_chunks;
    return (grad_part){task / (chunks * groups), task / chunks % groups, task / c_chunks % o_chunks, task % c_chunks};
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
