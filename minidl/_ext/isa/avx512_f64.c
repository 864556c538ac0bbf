#if defined(__x86_64__)
#pragma GCC target("arch=x86-64-v4")
#define T double
#define T_IS_DOUBLE
#define VBYTES 64
#define NAME "avx512"
#define TABLE minidl_avx512_f64
#include "table.h"
#endif
