/* What normalisation and losses of both layouts need: long sums in double, and the normalised value. */
#ifndef MINIDL_CORE_STATISTICS_H
#define MINIDL_CORE_STATISTICS_H

#include "vector.h"

enum { SUM_CHUNK = 64 }; /* vectors summed in T before they go to a double: few, for the mean's last bit */

INLINE V norm_value(V x, V mean, V scale, V beta) { return (x - mean) * scale + beta; }

/* A double for each lane. */
typedef double VD __attribute__((vector_size(8 * L)));
typedef int64_t VDI __attribute__((vector_size(8 * L)));
typedef double VDU __attribute__((vector_size(8 * L), aligned(8), may_alias)); /* at any address of a double */

/* The sum over the lanes in double. */
INLINE double sum_wide(V v) {
    double sum = 0;
    UNROLL for (int i = 0; i < L; i++) sum += (double)v[i];
    return sum;
}

INLINE V sum_of_four(const V v[4]) { return (v[0] + v[1]) + (v[2] + v[3]); }

#endif
