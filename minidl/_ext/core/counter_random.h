/* Counter-based random numbers, as in minidl/kernels/counter_random.py. */
#ifndef MINIDL_CORE_COUNTER_RANDOM_H
#define MINIDL_CORE_COUNTER_RANDOM_H

#include <math.h>
#include <stdint.h>

#include "vector.h"

/* The random bits of (key, counter). */
INLINE uint64_t mix(uint64_t key, uint64_t counter) {
    uint64_t z = key + (counter + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Dropout drops a value where the upper 32 of its random bits are below this. */
INLINE uint64_t keep_threshold(double rate) { return (uint64_t)nearbyint(rate * 4294967296.0); }

/* The sum of the eight bytes. */
INLINE uint64_t byte_sum(uint64_t bits) {
    uint64_t pairs = (bits & 0x00FF00FF00FF00FFu) + (bits >> 8 & 0x00FF00FF00FF00FFu);
    return pairs * 0x0001000100010001u >> 48;
}

#endif
