#if defined(__x86_64__)
#pragma GCC target("arch=x86-64-v3")
#define T float
#define VBYTES 32
#define NAME "avx2"
#define TABLE minidl_avx2_f32
#include "table.h"
#endif
