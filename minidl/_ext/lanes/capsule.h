/* An array of capsules is (blocks, I, D, L): the D values of a capsule side by side. Twin:
   minidl/kernels/reference/capsule.py. */
#ifndef MINIDL_LANES_CAPSULE_H
#define MINIDL_LANES_CAPSULE_H

#include "../core/capsule.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

typedef struct {
    size types, D, area;
    const T *dy, *x;
    T *y;
} squash_job;

/* One type of capsule of one block: maps (D, area) against capsules (area, D). */
static int squash_task(void *context, ptrdiff_t task) {
    const squash_job *job = context;
    size D = job->D, step = job->area * L, from = task * D * step;
    for (size p = 0; p < job->area; p++) {
        size map = from + p * L, capsule = from + p * D * L;
        if (job->dy) squash_slope(job->dy + capsule, job->x + map, step, D, job->y + map);
        else squash(job->x + map, step, D, job->y + capsule);
    }
    return 0;
}

static int squash_forward(size n, size types, size D, size area, const void *x, void *y) {
    squash_job job = {types, D, area, NULL, x, y};
    return pool_run(squash_task, &job, blocks_of(n) * types, n * types * D * area > PARALLEL_FROM);
}

static int squash_backward(size n, size types, size D, size area, const void *dy, const void *x, void *dx) {
    squash_job job = {types, D, area, dy, x, dx};
    return pool_run(squash_task, &job, blocks_of(n) * types, n * types * D * area > PARALLEL_FROM);
}

/* y[j] = |v[j]| of J capsules of E values. */
static int capsule_length_forward(size n, size J, size E, const void *v, void *y) {
    for (size k = 0; k < blocks_of(n) * J; k++)
        store((T *)y + k * L, square_root(square_sum((const T *)v + k * E * L, L, E)));
    return 0;
}

/* dv = dy v / |v|, 0 where |v| = y = 0. */
static int capsule_length_backward(size n, size J, size E, const void *dy, const void *v, const void *y, void *dv) {
    for (size k = 0; k < blocks_of(n) * J; k++) {
        V factor = load((const T *)dy + k * L) * inverse_or_zero(load((const T *)y + k * L));
        for (size e = 0; e < E; e++) store((T *)dv + (k * E + e) * L, load((const T *)v + (k * E + e) * L) * factor);
    }
    return 0;
}

/* Zeros in all capsules but that of the label; zeros in empty lanes. */
static int capsule_mask(size n, size J, size E, const size *labels, const void *v, void *y) {
    for (size block = 0; block < blocks_of(n); block++) {
        VI label;
        for (size l = 0; l < L; l++) label[l] = (INT)(block * L + l < n ? labels[block * L + l] : -1);
        for (size j = 0; j < J; j++) {
            VI mask = label == (INT)j;
            for (size at = (block * J + j) * E * L, end = at + E * L; at < end; at += L)
                store((T *)y + at, (V)((VI)load((const T *)v + at) & mask));
        }
    }
    return 0;
}

#endif
