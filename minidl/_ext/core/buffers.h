/* Buffers of lane arrays: freed ones wait by size for the next array. Any thread may call, at any time. */
#ifndef MINIDL_CORE_BUFFERS_H
#define MINIDL_CORE_BUFFERS_H

#include <stddef.h>

/* Memory as pool_memory gives it, at least 64 bytes; NULL if there is none. */
void *buffers_take(size_t bytes);

/* Give back what buffers_take gave for as many bytes. */
void buffers_return(void *memory, size_t bytes);

/* Give those that wait back to the operating system. */
void buffers_release(void);

/* Bytes of buffers that are out, and of those that wait, at one moment. */
typedef struct {
    size_t live, waiting;
} buffer_bytes;
buffer_bytes buffers_now(void);

#endif
