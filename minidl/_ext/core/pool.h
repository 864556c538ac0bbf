/* Thread pool and memory: the only place in the compiled core that knows threads. */
#ifndef MINIDL_CORE_POOL_H
#define MINIDL_CORE_POOL_H

#include <stddef.h>

/* One task of a parallel loop. Returns 0, or -1 if it found no memory. Runs on any thread, in any order. */
typedef int (*pool_task)(void *context, ptrdiff_t task);

/* Run task(context, 0 .. tasks-1). With parallel == 0, with one thread, or while another thread uses the pool, all
   tasks run on the calling thread. Returns 0, or -1 if a task did. */
int pool_run(pool_task task, void *context, ptrdiff_t tasks, int parallel);

/* How many threads pool_run uses, the caller included; at most POOL_MAX. */
enum { POOL_MAX = 256 };
void pool_set_threads(int threads);
int pool_get_threads(void);

/* Memory to be given back by pool_free, 64-byte aligned; NULL if there is none. Of large pieces the system is asked for
   large pages, where it leaves that to the program: a channel's rows lie in more small pages than the processor keeps
   track of. */
void *pool_memory(size_t bytes);
void pool_free(void *memory);

/* Memory of this thread, 64-byte aligned, kept until the thread ends; NULL if there is none. The call's slot belongs to
   the code around pool_run, the task's slot to the code inside a task. */
enum { SCRATCH_CALL = 0, SCRATCH_TASK = 1 };
void *pool_scratch(int slot, size_t bytes);

#endif
