/* Which instruction sets this processor and operating system run, widest first; the baseline is always there. */
#ifndef MINIDL_ISA_DETECT_H
#define MINIDL_ISA_DETECT_H

#include <stdint.h>

#include "../core/kernels.h"

int isa_count(void);
const kernel_table *isa_table(int index, int is_double);

/* What an x86 processor tells of itself: the highest leaf of CPUID, the words with the features that matter here (0
   where there is no such leaf), and XCR0, the registers that the operating system saves (0 where XGETBV is missing). */
typedef struct {
    uint32_t highest, ecx_of_1, ebx_of_7, ecx_of_80000001;
    uint64_t saved;
} cpu_leaves;

/* 4 or 3 if all of x86-64-v4 or x86-64-v3 can run, else 1. */
int x86_level(const cpu_leaves *leaves);

#endif
