#if defined(__x86_64__)
#include "../core/compiler.h"
#define T float
#define VBYTES 32
#define NAME "avx2"
#define TABLE minidl_avx2_f32
TARGET_BEGIN("arch=x86-64-v3")
#include "table.h"
TARGET_END
#endif
