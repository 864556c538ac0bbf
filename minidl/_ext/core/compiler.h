/* What GCC and Clang call by different names. */
#ifndef MINIDL_CORE_COMPILER_H
#define MINIDL_CORE_COMPILER_H

#define INLINE static inline __attribute__((always_inline))
#define PRAGMA(text) _Pragma(#text)

/* UNROLL: a loop whose bounds are known when it is compiled, at most 16 times around, has no loop left. An array whose
   places are all known then lives in registers.
   UNROLL_BY(n): n times around between two jumps, where the bounds are not known.
   TARGET_BEGIN, TARGET_END: functions between them use the instructions of `arch` and vectors of VBYTES.
   ONE_COPY: a function that stays one, whatever it is called with.
   SHUFFLE(VI, a, b, ...): the elements of these constant numbers, counted through a, then b. */
#ifdef __clang__
#define UNROLL PRAGMA(clang loop unroll(full))
#define UNROLL_BY(n) PRAGMA(clang loop unroll_count(n))
#define TARGET_BEGIN(arch) \
    PRAGMA(clang attribute push(__attribute__((target(arch))), apply_to = function)) \
    PRAGMA(clang attribute push(__attribute__((min_vector_width(8 * VBYTES))), apply_to = function))
#define TARGET_END PRAGMA(clang attribute pop) PRAGMA(clang attribute pop)
#define ONE_COPY static __attribute__((noinline))
#define SHUFFLE(indices, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define UNROLL PRAGMA(GCC unroll 16)
#define UNROLL_BY(n) PRAGMA(GCC unroll n)
#define TARGET_BEGIN(arch) PRAGMA(GCC target(arch))
#define TARGET_END
#define ONE_COPY static __attribute__((noinline, noclone)) /* or it would be copied for constant arguments */
#define SHUFFLE(indices, a, b, ...) __builtin_shuffle(a, b, (indices){__VA_ARGS__})
#endif

#endif
