/* Which instruction sets this processor and operating system run, widest first; the baseline is always there. */
#ifndef MINIDL_ISA_DETECT_H
#define MINIDL_ISA_DETECT_H

#include "../core/kernels.h"

int isa_count(void);
const kernel_table *isa_table(int index, int is_double);

#endif
