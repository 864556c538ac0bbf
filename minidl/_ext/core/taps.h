/* Rows that are mixed from a few rows each: y = sum of weight[i] x[index[i]]; a weight of 0 reads nothing. */
#ifndef MINIDL_CORE_TAPS_H
#define MINIDL_CORE_TAPS_H

#include <string.h>

#include "kernels.h"
#include "vector.h"

INLINE void add_row(const T *x, T weight, T *y, size count) {
    for (size i = 0; i < count; i++) y[i] += weight * x[i];
}

/* Row `row` of the output out of rows of `count` elements: in place where it is one of them, else made in `out`. */
INLINE const T *mixed_row(const resize_args *a, size row, const T *x, T *out, size count) {
    const size *index = a->rows + row * a->KH;
    const T *weight = (const T *)a->row_weight + row * a->KH;
    if (a->KH == 1 && weight[0] == 1) return x + index[0] * count;
    memset(out, 0, (size_t)count * sizeof(T));
    for (size i = 0; i < a->KH; i++)
        if (weight[i] != 0) add_row(x + index[i] * count, weight[i], out, count);
    return out;
}

#endif
