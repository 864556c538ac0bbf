#define T float
#define VBYTES 16
#define NAME "baseline"
#define TABLE minidl_baseline_f32
#include "table.h"
