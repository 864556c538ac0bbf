#include "detect.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#ifndef MINIDL_LEVEL
#define MINIDL_LEVEL 4 /* of x86, the highest that is compiled */
#endif

#define BIT(n) ((uint32_t)1 << (n))

/* Every feature of a level counts, as the compiler may use it: a hypervisor can hide any of them. */
enum { OSXSAVE = 27 };
static const uint32_t V3_OF_1 = BIT(0) | BIT(9) | BIT(12) | BIT(13) |            /* sse3 ssse3 fma cx16 */
                                BIT(19) | BIT(20) | BIT(22) | BIT(23) |          /* sse4.1 sse4.2 movbe popcnt */
                                BIT(OSXSAVE) | BIT(28) | BIT(29);                /* avx f16c */
static const uint32_t V3_OF_7 = BIT(3) | BIT(5) | BIT(8);                        /* bmi1 avx2 bmi2 */
static const uint32_t V3_OF_80000001 = BIT(0) | BIT(5);                          /* lahf lzcnt */
static const uint32_t V4_OF_7 = BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31); /* avx512 f dq cd bw vl */
static const uint64_t V3_SAVED = 0x6, V4_SAVED = 0xe6; /* xmm and ymm; also masks, the upper zmm, zmm16 to 31 */

int x86_level(const cpu_leaves *leaves) {
    if ((leaves->ecx_of_1 & V3_OF_1) != V3_OF_1) return 1;
    if (leaves->highest < 7 || (leaves->ebx_of_7 & V3_OF_7) != V3_OF_7) return 1;
    if ((leaves->ecx_of_80000001 & V3_OF_80000001) != V3_OF_80000001) return 1;
    if ((leaves->saved & V3_SAVED) != V3_SAVED) return 1;
    return (leaves->ebx_of_7 & V4_OF_7) == V4_OF_7 && (leaves->saved & V4_SAVED) == V4_SAVED ? 4 : 3;
}

#if defined(__x86_64__)
static cpu_leaves read_leaves(void) {
    cpu_leaves leaves = {.highest = __get_cpuid_max(0, NULL)};
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d)) leaves.ecx_of_1 = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) leaves.ebx_of_7 = b;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) leaves.ecx_of_80000001 = c;
    if (leaves.ecx_of_1 & BIT(OSXSAVE)) {
        __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        leaves.saved = (uint64_t)d << 32 | a;
    }
    return leaves;
}
#endif

typedef struct {
    const kernel_table *f32, *f64;
} isa_row;

static int find_isas(isa_row *row) {
    int count = 0;
#if defined(__x86_64__)
    cpu_leaves leaves = read_leaves();
    int level = x86_level(&leaves);
#if MINIDL_LEVEL >= 4
    if (level >= 4) row[count++] = (isa_row){&minidl_avx512_f32, &minidl_avx512_f64};
#endif
#if MINIDL_LEVEL >= 3
    if (level >= 3) row[count++] = (isa_row){&minidl_avx2_f32, &minidl_avx2_f64};
#endif
    (void)level;
#endif
    row[count++] = (isa_row){&minidl_baseline_f32, &minidl_baseline_f64};
    return count;
}

int isa_count(void) {
    isa_row row[3];
    return find_isas(row);
}

const kernel_table *isa_table(int index, int is_double) {
    isa_row row[3];
    int count = find_isas(row);
    isa_row chosen = row[index >= 0 && index < count ? index : count - 1];
    return is_double ? chosen.f64 : chosen.f32;
}
