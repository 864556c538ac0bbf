/* The vector type of one instruction set and element type, and the few operations that plain C lacks.

   A file of the isa room defines T (float or double) and VBYTES (16, 32 or 64). Everything else is written in terms of
   T, V (a vector of L elements: in the lanes, one value of L images), VI (integers of the same width). */
#ifndef MINIDL_CORE_VECTOR_H
#define MINIDL_CORE_VECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

#ifndef T /* a header that an editor opens by itself */
#define T float
#define VBYTES 16
#endif

#if defined(__x86_64__) && !defined(__clang__) && VBYTES > 16
#define WIDEN_IN_ONE_STEP
#include <immintrin.h>
#endif

enum { L = VBYTES / sizeof(T), IS_FLOAT = sizeof(T) == 4 };

typedef T V __attribute__((vector_size(VBYTES)));
typedef T VU __attribute__((vector_size(VBYTES), aligned(sizeof(T)), may_alias)); /* at any address of a T */
#ifdef T_IS_DOUBLE
typedef int64_t INT;
typedef uint64_t UINT;
#else
typedef int32_t INT;
typedef uint32_t UINT;
#endif
typedef INT VI __attribute__((vector_size(VBYTES)));
typedef uint8_t VB __attribute__((vector_size(VBYTES / sizeof(T)), may_alias));              /* L bytes */
typedef uint8_t VBU __attribute__((vector_size(VBYTES / sizeof(T)), aligned(1), may_alias)); /* at any address */
typedef int32_t VX __attribute__((vector_size(4 * VBYTES / sizeof(T)), may_alias));          /* L int32 indices */

INLINE V splat(T s) { return s - (V){0}; }
INLINE V loadu(const T *p) { return *(const VU *)p; }
INLINE void storeu(T *p, V v) { *(VU *)p = v; }
INLINE V load(const T *p) { return *(const V *)p; }
INLINE void store(T *p, V v) { *(V *)p = v; }
INLINE V choose(VI mask, V yes, V no) { return (V)((mask & (VI)yes) | (~mask & (VI)no)); }
/* max(x, 0); a NaN stays a NaN. */
INLINE V relu(V x) { return (V)((VI)x & ~(x < 0)); }

/* L bytes as integers, in steps of twice the width: in a single one GCC would take them apart byte by byte. */
INLINE VI widen(VB bytes) {
#if defined(WIDEN_IN_ONE_STEP) && !defined(T_IS_DOUBLE) && VBYTES == 64
    return (VI)_mm512_cvtepu8_epi32((__m128i)bytes);
#elif defined(WIDEN_IN_ONE_STEP) && !defined(T_IS_DOUBLE)
    return (VI)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)bytes));
#else
    typedef uint16_t V16 __attribute__((vector_size(2 * L)));
    typedef uint32_t V32 __attribute__((vector_size(4 * L)));
    return __builtin_convertvector(__builtin_convertvector(__builtin_convertvector(bytes, V16), V32), VI);
#endif
}

/* L bytes as T: doubles from 32 bits, as few processors know 64-bit integers as doubles. */
INLINE V from_bytes(VB bytes) {
#ifndef T_IS_DOUBLE
    return __builtin_convertvector(widen(bytes), V);
#elif defined(WIDEN_IN_ONE_STEP) && VBYTES == 64
    return (V)_mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)bytes)));
#elif defined(WIDEN_IN_ONE_STEP)
    return (V)_mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128((int32_t)bytes)));
#else
    return __builtin_convertvector(__builtin_convertvector(bytes, VX), V);
#endif
}

INLINE VI iota(void) {
    VI v;
    UNROLL for (int i = 0; i < L; i++) v[i] = i;
    return v;
}

/* All ones in the lanes below `lanes`. */
INLINE VI lanes_below(ptrdiff_t lanes) { return iota() < (INT)lanes; }

/* SHUFFLE wants its numbers one by one: of(i, m, n) for the lanes i of a vector. */
#define EACH_OF_2(of, m, n) of(0, m, n), of(1, m, n)
#define EACH_OF_4(of, m, n) EACH_OF_2(of, m, n), of(2, m, n), of(3, m, n)
#define EACH_OF_8(of, m, n) EACH_OF_4(of, m, n), of(4, m, n), of(5, m, n), of(6, m, n), of(7, m, n)
#define EACH_OF_16(of, m, n) \
    EACH_OF_8(of, m, n), of(8, m, n), of(9, m, n), of(10, m, n), of(11, m, n), of(12, m, n), of(13, m, n), \
        of(14, m, n), of(15, m, n)
#ifdef T_IS_DOUBLE
#define LANES (VBYTES / 8)
#else
#define LANES (VBYTES / 4)
#endif
#if LANES == 16
#define EACH_LANE EACH_OF_16
#elif LANES == 8
#define EACH_LANE EACH_OF_8
#elif LANES == 4
#define EACH_LANE EACH_OF_4
#else
#define EACH_LANE EACH_OF_2
#endif

/* The lanes of one butterfly stage of width m between vectors a and b of n lanes: a's half, then b's. For Clang every m
   is a number in the source; stages that are too wide are compiled, but not run. */
#ifdef __clang__
#define STAGES_UP(STAGE, n) STAGE(1) STAGE(2) STAGE(4) STAGE(8)
#define STAGES_DOWN(STAGE, n) STAGE(4) STAGE(2) STAGE(1)
#else
#define STAGES_UP(STAGE, n) UNROLL for (int m = 1; m < n; m *= 2) STAGE(m)
#define STAGES_DOWN(STAGE, n) UNROLL for (int m = n / 2; m >= 1; m /= 2) STAGE(m)
#endif
#define LOW(i, m, n) ((i) & (m) ? (i) - (m) + (n) : (i))
#define HIGH(i, m, n) (((i) & (m) ? (i) + (n) : (i) + (m)) & (2 * (n) - 1))

/* Transpose an L x L square held in L vectors. */
INLINE void transpose(V v[L]) {
#define STAGE(m) \
    UNROLL for (int i = 0; m < L && i < L; i++) { \
        if (i & m) continue; \
        V a = v[i], b = v[i + m]; \
        v[i] = SHUFFLE(VI, a, b, EACH_LANE(LOW, m, L)); \
        v[i + m] = SHUFFLE(VI, a, b, EACH_LANE(HIGH, m, L)); \
    }
    STAGES_UP(STAGE, L)
#undef STAGE
}

/* Sums over lanes are taken of half vectors, S lanes each, where a vector is wider than the narrowest: the two halves
   are added first, which leaves half of the shuffling. */
#if VBYTES > 16
enum { S = L / 2 };
typedef T VS __attribute__((vector_size(VBYTES / 2)));
typedef INT VSI __attribute__((vector_size(VBYTES / 2)));
INLINE VS add_halves(V v) {
    union {
        V whole;
        VS half[2];
    } u = {v};
    return u.half[0] + u.half[1];
}
#else
enum { S = L };
typedef V VS;
typedef VI VSI;
INLINE VS add_halves(V v) { return v; }
#endif
#if LANES == 16
#define EACH_SUM EACH_OF_8
#elif LANES == 8 || (LANES == 4 && VBYTES == 16)
#define EACH_SUM EACH_OF_4
#else
#define EACH_SUM EACH_OF_2
#endif

/* Lane i of the result is the sum over the lanes of v[i]. Pairs are added in a fixed order. */
INLINE VS sum_lanes(VS v[S]) {
#define STAGE(m) \
    UNROLL for (int k = 0; m < S && k < S; k++) { \
        if (k < m) \
            v[k] = SHUFFLE(VSI, v[k], v[k + m], EACH_SUM(LOW, m, S)) + \
                   SHUFFLE(VSI, v[k], v[k + m], EACH_SUM(HIGH, m, S)); \
    }
    STAGES_DOWN(STAGE, S)
#undef STAGE
    return v[0];
}

INLINE T sum_vector(V v) {
    VS half = add_halves(v);
    UNROLL for (int m = S / 2; m >= 1; m /= 2) {
        UNROLL for (int i = 0; i < S; i++) {
            if (i < m) half[i] += half[i + m];
        }
    }
    return half[0];
}

#endif
