#if defined(__x86_64__)
#pragma GCC target("arch=x86-64-v4")
#define T float
#define VBYTES 64
#define NAME "avx512"
#define TABLE minidl_avx512_f32
#include "table.h"
#endif
