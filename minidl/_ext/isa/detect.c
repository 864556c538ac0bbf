/* __builtin_cpu_supports asks CPUID and XGETBV, so an instruction set counts only if the operating system saves its
   registers. */
#include "detect.h"

typedef struct {
    const kernel_table *f32, *f64;
} isa_row;

static int find_isas(isa_row *row) {
    int count = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    /* The levels x86-64-v3 and v4 by features that GCC 11 can ask for; no processor has these without the others. */
    int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
             __builtin_cpu_supports("bmi2");
    int v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
    if (v4) row[count++] = (isa_row){&minidl_avx512_f32, &minidl_avx512_f64};
    if (v3) row[count++] = (isa_row){&minidl_avx2_f32, &minidl_avx2_f64};
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
