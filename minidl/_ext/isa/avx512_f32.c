#if defined(__x86_64__)
#include "../core/compiler.h"
#define T float
#define VBYTES 64
#define NAME "avx512"
#define TABLE minidl_avx512_f32
TARGET_BEGIN("arch=x86-64-v4")
#include "table.h"
TARGET_END
#endif
