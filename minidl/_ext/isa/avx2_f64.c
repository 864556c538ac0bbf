#if defined(__x86_64__)
#pragma GCC target("arch=x86-64-v3")
#define T double
#define T_IS_DOUBLE
#define VBYTES 32
#define NAME "avx2"
#define TABLE minidl_avx2_f64
#include "table.h"
#endif
