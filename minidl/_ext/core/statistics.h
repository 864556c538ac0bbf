/* What normalisation and losses of both layouts need: long sums in double, and the normalised value. */
#ifndef MINIDL_CORE_STATISTICS_H
#define MINIDL_CORE_STATISTICS_H

#include "vector.h"

enum { SUM_CHUNK = 64 }; /* vectors summed in T before they go to a double: few, for the mean's last bit */

INLINE V norm_value(V x, V mean, V scale, V beta) { return (x - mean) * scale + beta; }

/* A double for each lane, in as many vectors as that takes: wider ones would go through memory. */
enum { WIDE = 8 / sizeof(T) };
typedef double VW __attribute__((vector_size(VBYTES)));
typedef int64_t VWI __attribute__((vector_size(VBYTES)));
typedef T VP __attribute__((vector_size(VBYTES / WIDE)));
typedef union {
    VW part[WIDE];
    double lane[L];
} wide_sum;

INLINE wide_sum widened(V v) {
    union {
        V whole;
        VP part[WIDE];
    } from = {v};
    wide_sum to;
    UNROLL for (int i = 0; i < WIDE; i++) to.part[i] = __builtin_convertvector(from.part[i], VW);
    return to;
}

/* The sum over the lanes in double. */
INLINE double sum_wide(V v) {
    double sum = 0;
    UNROLL for (int i = 0; i < L; i++) sum += (double)v[i];
    return sum;
}

INLINE V sum_of_four(const V v[4]) { return (v[0] + v[1]) + (v[2] + v[3]); }

#endif
