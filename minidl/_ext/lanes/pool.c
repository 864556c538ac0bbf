/* A pool of worker threads that spin for a few microseconds, then sleep.

   A job is open from its announcement until the caller finds no task left. Workers join an open job, take tasks from a
   shared counter, and leave; the caller waits only for those who joined, so a worker that sleeps through a short job
   costs nothing. The word `state` holds generation, open bit and number of joined workers, so that joining and closing
   are one atomic step each. */
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#if defined(__x86_64__) || defined(__i386__)
#define relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define relax() __asm__ volatile("yield")
#else
#define relax() ((void)0)
#endif

enum { SPINS = 3000 };
#define OPEN ((uint64_t)1 << 31)
#define JOINED (OPEN - 1)
#define GENERATION ((uint64_t)1 << 32)

static pthread_mutex_t use_lock = PTHREAD_MUTEX_INITIALIZER; /* held by the thread whose job runs */
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static _Atomic uint64_t state;
static _Atomic int sleepers;
static _Atomic int wanted = 1; /* threads, the caller included */
static int started;            /* workers that exist; guarded by use_lock */

static pool_task job_task;
static void *job_context;
static ptrdiff_t job_tasks;
static _Atomic ptrdiff_t job_next;
static _Atomic int job_failed;

static void take_tasks(void) {
    for (;;) {
        ptrdiff_t task = atomic_fetch_add_explicit(&job_next, 1, memory_order_relaxed);
        if (task >= job_tasks) return;
        if (job_task(job_context, task)) atomic_store_explicit(&job_failed, 1, memory_order_relaxed);
    }
}

/* Wait until a job other than `seen` is open, join it, return its generation. */
static uint64_t join_job(uint64_t seen) {
    for (int spins = 0;; spins++) {
        uint64_t now = atomic_load_explicit(&state, memory_order_acquire);
        if ((now & OPEN) && now / GENERATION != seen) {
            if (atomic_compare_exchange_weak_explicit(&state, &now, now + 1, memory_order_acq_rel, memory_order_relaxed))
                return now / GENERATION;
            continue;
        }
        if (spins < SPINS) {
            relax();
            continue;
        }
        pthread_mutex_lock(&sleep_lock);
        atomic_fetch_add(&sleepers, 1);
        for (now = atomic_load(&state); !(now & OPEN) || now / GENERATION == seen; now = atomic_load(&state))
            pthread_cond_wait(&wake, &sleep_lock);
        atomic_fetch_sub(&sleepers, 1);
        pthread_mutex_unlock(&sleep_lock);
        spins = 0;
    }
}

static void *worker(void *argument) {
    int index = (int)(intptr_t)argument;
    uint64_t seen = 0;
    for (;;) {
        seen = join_job(seen);
        if (index < atomic_load_explicit(&wanted, memory_order_relaxed)) take_tasks();
        atomic_fetch_sub_explicit(&state, 1, memory_order_release);
    }
    return NULL;
}

/* In a forked child no worker exists; locks are in the state that the fork found them in. */
static void after_fork_in_child(void) {
    pthread_mutex_init(&use_lock, NULL);
    pthread_mutex_init(&sleep_lock, NULL);
    pthread_cond_init(&wake, NULL);
    atomic_store(&state, 0);
    atomic_store(&sleepers, 0);
    started = 0;
}

static void start_workers(int count) {
    static int registered;
    if (!registered) registered = !pthread_atfork(NULL, NULL, after_fork_in_child);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes)) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (started < count) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, worker, (void *)(intptr_t)(started + 1))) break;
        started++;
    }
    pthread_attr_destroy(&attributes);
}

static int run_alone(pool_task task, void *context, ptrdiff_t tasks) {
    int failed = 0;
    for (ptrdiff_t i = 0; i < tasks; i++) failed |= task(context, i);
    return failed ? -1 : 0;
}

int pool_run(pool_task task, void *context, ptrdiff_t tasks, int parallel) {
    int threads = atomic_load_explicit(&wanted, memory_order_relaxed);
    if (!parallel || threads < 2 || tasks < 2 || pthread_mutex_trylock(&use_lock)) return run_alone(task, context, tasks);
    if (started < threads - 1) start_workers(threads - 1);
    job_task = task;
    job_context = context;
    job_tasks = tasks;
    atomic_store_explicit(&job_next, 0, memory_order_relaxed);
    atomic_store_explicit(&job_failed, 0, memory_order_relaxed);
    uint64_t generation = atomic_load(&state) / GENERATION + 1;
    if (generation > UINT32_MAX) generation = 1;
    atomic_store(&state, generation * GENERATION + OPEN);
    if (atomic_load(&sleepers)) {
        pthread_mutex_lock(&sleep_lock);
        pthread_cond_broadcast(&wake);
        pthread_mutex_unlock(&sleep_lock);
    }
    take_tasks();
    atomic_fetch_and_explicit(&state, ~OPEN, memory_order_acq_rel);
    while (atomic_load_explicit(&state, memory_order_acquire) & JOINED) relax();
    int failed = atomic_load_explicit(&job_failed, memory_order_relaxed);
    pthread_mutex_unlock(&use_lock);
    return failed ? -1 : 0;
}

void pool_set_threads(int threads) {
    atomic_store(&wanted, threads < 1 ? 1 : threads > POOL_MAX ? POOL_MAX : threads);
}

int pool_get_threads(void) { return atomic_load(&wanted); }

/* ---- memory ------------------------------------------------------------------------------------------------------- */

enum { PAGE = 4096, LARGE_PAGE = 1 << 21 };

void *pool_memory(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, bytes < 16 * PAGE ? 64 : PAGE, bytes)) return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= LARGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE); /* a wish: what it returns does not matter */
#endif
    return memory;
}

/* ---- scratch ------------------------------------------------------------------------------------------------------ */

typedef struct {
    void *memory[2];
    size_t bytes[2];
} scratch_slots;

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *argument) {
    scratch_slots *slots = argument;
    free(slots->memory[0]);
    free(slots->memory[1]);
    free(slots);
}

static void scratch_make_key(void) { pthread_key_create(&scratch_key, scratch_free); }

void *pool_scratch(int slot, size_t bytes) {
    pthread_once(&scratch_once, scratch_make_key);
    scratch_slots *slots = pthread_getspecific(scratch_key);
    if (!slots) {
        slots = calloc(1, sizeof *slots);
        if (!slots || pthread_setspecific(scratch_key, slots)) {
            free(slots);
            return NULL;
        }
    }
    if (slots->bytes[slot] < bytes) {
        free(slots->memory[slot]);
        slots->memory[slot] = NULL;
        slots->bytes[slot] = 0;
        void *memory = pool_memory(bytes);
        if (!memory) return NULL;
        slots->memory[slot] = memory;
        slots->bytes[slot] = bytes;
    }
    return slots->memory[slot] ? slots->memory[slot] : (void *)slots;
}
