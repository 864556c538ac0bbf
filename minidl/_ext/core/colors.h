/* Colours of images changed on their way into a batch: minidl/kernels/image_colors.py tells how. */
#ifndef MINIDL_CORE_COLORS_H
#define MINIDL_CORE_COLORS_H

#include <stdint.h>

#include "counter_random.h"
#include "kernels.h"
#include "vector.h"

enum { NOISE_MEAN = 1020 };                              /* of the sum of eight random bytes */
static const double noise_deviation = 209.0215299915298; /* of the same: sqrt(8 (2^16 - 1) / 12) */

INLINE int recolors(const gather_args *a) { return a->maps || a->keys; }

/* An image's map of `mixed` channels, as (mixed, mixed + 1) numbers; without one the map that changes nothing. */
INLINE void color_map(const gather_args *a, size n, size mixed, T *map) {
    for (size k = 0; k < mixed; k++)
        for (size j = 0; j <= mixed; j++, map++) {
            double own = a->maps ? a->maps[(n * mixed + k) * (mixed + 1) + j] : j == k;
            *map = (T)(j == mixed ? own * a->top : own);
        }
}

/* A random whole number, nearly normal, of mean 0 and noise_deviation. */
INLINE int32_t noise_steps(uint64_t key, uint64_t counter) { return (int32_t)byte_sum(mix(key, counter)) - NOISE_MEAN; }

INLINE T noise_unit(const gather_args *a) { return (T)(a->deviation * a->top / noise_deviation); }

#endif
