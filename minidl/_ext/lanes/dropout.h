/* Dropout: which values are kept depends on the key and on a value's index, not on the layout. */
#ifndef MINIDL_LANES_DROPOUT_H
#define MINIDL_LANES_DROPOUT_H

#include <stdint.h>

#include "../core/counter_random.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

typedef struct {
    size F;
    uint64_t key, threshold;
    T factor;
    const T *x;
    T *y;
} dropout_job;

static int dropout_task(void *context, ptrdiff_t block) {
    const dropout_job *job = context;
    for (size f = 0; f < job->F; f++) {
        size at = (block * job->F + f) * L;
        for (size l = 0; l < L; l++) {
            uint64_t bits = mix(job->key, (uint64_t)((block * L + l) * job->F + f)) >> 32;
            job->y[at + l] = bits >= job->threshold ? job->x[at + l] * job->factor : 0;
        }
    }
    return 0;
}

static int dropout(size n, size F, double rate, uint64_t key, const void *x, void *y) {
    dropout_job job = {F, key, keep_threshold(rate), (T)(1 / (1 - rate)), x, y};
    return pool_run(dropout_task, &job, blocks_of(n), blocks_of(n) * F * L > PARALLEL_FROM);
}

#endif
