#if defined(__x86_64__)
#include "../core/compiler.h"
#define T double
#define T_IS_DOUBLE
#define VBYTES 64
#define NAME "avx512"
#define TABLE minidl_avx512_f64
TARGET_BEGIN("arch=x86-64-v4")
#include "table.h"
TARGET_END
#endif
