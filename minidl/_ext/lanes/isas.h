/* Which instruction sets this processor and operating system run, widest first; the baseline is always there. */
#ifndef MINIDL_ISAS_H
#define MINIDL_ISAS_H

#include "kernels.h"

int isa_count(void);
const kernel_table *isa_table(int index, int is_double);

#endif
