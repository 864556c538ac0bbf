#define T double
#define T_IS_DOUBLE
#define VBYTES 16
#define NAME "baseline"
#define TABLE minidl_baseline_f64
#include "table.h"
