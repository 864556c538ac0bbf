/* The vector type of one instruction set and element type, and the few operations that plain C lacks.

   A file of the isa room defines T (float or double) and VBYTES (16, 32 or 64). Everything else is written in terms of
   T, V (a vector of L elements: in the lanes, one value of L images), VI (integers of the same width). */
#ifndef MINIDL_CORE_VECTOR_H
#define MINIDL_CORE_VECTOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#ifndef T /* a header that an editor opens by itself */
#define T float
#define VBYTES 16
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#ifdef __clang__
#define ONE_COPY static __attribute__((noinline))
#else
#define ONE_COPY static __attribute__((noinline, noclone)) /* GCC would also clone for constant arguments */
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
#if defined(__AVX512F__) && !defined(T_IS_DOUBLE)
    return (VI)_mm512_cvtepu8_epi32((__m128i)bytes);
#elif defined(__AVX2__) && !defined(T_IS_DOUBLE)
    return (VI)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)bytes));
#else
    typedef uint16_t V16 __attribute__((vector_size(2 * L)));
    typedef uint32_t V32 __attribute__((vector_size(4 * L)));
    return __builtin_convertvector(__builtin_convertvector(__builtin_convertvector(bytes, V16), V32), VI);
#endif
}

INLINE VI iota(void) {
    VI v;
    UNROLL for (int i = 0; i < L; i++) v[i] = i;
    return v;
}

/* All ones in the lanes below `lanes`. */
INLINE VI lanes_below(ptrdiff_t lanes) { return iota() < (INT)lanes; }

/* The indices of one butterfly stage of width m between vectors a and b: a's half, then b's. */
INLINE VI butterfly(int m, int high) {
    VI i = iota(), upper = (i & m) != 0;
    return high ? ((upper & (i + L)) | (~upper & (i + m))) : ((upper & (i - m + L)) | (~upper & i));
}

/* Transpose an L x L square held in L vectors. */
INLINE void transpose(V v[L]) {
    UNROLL for (int m = 1; m < L; m *= 2) {
        VI low = butterfly(m, 0), high = butterfly(m, 1);
        UNROLL for (int i = 0; i < L; i++) {
            if (i & m) continue;
            V a = v[i], b = v[i + m];
            v[i] = __builtin_shuffle(a, b, low);
            v[i + m] = __builtin_shuffle(a, b, high);
        }
    }
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

/* Lane i of the result is the sum over the lanes of v[i]. Pairs are added in a fixed order. */
INLINE VS sum_lanes(VS v[S]) {
    VSI i;
    UNROLL for (int k = 0; k < S; k++) i[k] = k;
    UNROLL for (int m = S / 2; m >= 1; m /= 2) {
        VSI upper = (i & m) != 0;
        VSI low = (upper & (i - m + S)) | (~upper & i), high = (upper & (i + S)) | (~upper & (i + m));
        UNROLL for (int k = 0; k < S; k++) {
            if (k < m) v[k] = __builtin_shuffle(v[k], v[k + m], low) + __builtin_shuffle(v[k], v[k + m], high);
        }
    }
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
