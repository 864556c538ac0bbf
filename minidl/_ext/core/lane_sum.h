/* A long sum in each lane: some vectors in T, then all in double. */
#ifndef MINIDL_CORE_LANE_SUM_H
#define MINIDL_CORE_LANE_SUM_H

#include "statistics.h"
#include "vector.h"

typedef struct {
    V part;
    ptrdiff_t held;
    double total[L];
} lane_sum;

INLINE void lane_sum_flush(lane_sum *s) {
    UNROLL for (int l = 0; l < L; l++) s->total[l] += (double)s->part[l];
    s->part = (V){0};
    s->held = 0;
}

INLINE void lane_sum_add(lane_sum *s, V v) {
    s->part += v;
    if (++s->held == SUM_CHUNK) lane_sum_flush(s);
}

/* The sums of all lanes. */
INLINE V lane_sum_end(lane_sum *s) {
    V v;
    lane_sum_flush(s);
    UNROLL for (int l = 0; l < L; l++) v[l] = (T)s->total[l];
    return v;
}

#endif
