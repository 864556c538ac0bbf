/* A pool of worker threads that spin for a few microseconds, then sleep.

   A job is open from its announcement until the caller finds no task left. Workers join an open job, take tasks, and
   leave; the caller waits only for those who joined, so a worker that sleeps through a short job costs nothing. The
   word `state` holds generation, open bit and number of joined workers, so that joining and closing are one atomic step
   each.

   Every thread has a share of the tasks, always the same part of them, and helps with the others' shares when its own
   is done: what a thread wrote in one job mostly lies in its own cache for the next. */
#define _GNU_SOURCE /* sched_getcpu, CPU_SET */
#include "pool.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"

/* MINIDL_PLAIN_THREADS: nothing that other systems lack. */
#if defined(__linux__) && !defined(MINIDL_PLAIN_THREADS)
#define ON_LINUX
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
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

static thread_lock use_lock = LOCK_READY; /* held by the thread whose job runs */
static thread_lock sleep_lock = LOCK_READY;
static thread_signal wake = SIGNAL_READY;
static _Atomic uint64_t state;
static _Atomic int sleepers;
static _Atomic int wanted = 1; /* threads, the caller included */
static int started;            /* workers that exist; guarded by use_lock */

/* Tasks next .. end-1 of a job are left in a share. */
typedef struct {
    _Alignas(64) _Atomic ptrdiff_t next;
    ptrdiff_t end;
} task_share;

static pool_task job_task;
static void *job_context;
static int job_threads; /* and shares */
static task_share job_shares[POOL_MAX];
static _Atomic int job_failed;

/* The tasks of a thread's own share, then what is left of the others'. */
static void take_tasks(int thread) {
    for (int i = 0; i < job_threads; i++) {
        task_share *share = &job_shares[(thread + i) % job_threads];
        for (;;) {
            ptrdiff_t task = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
            if (task >= share->end) break;
            if (job_task(job_context, task)) atomic_store_explicit(&job_failed, 1, memory_order_relaxed);
        }
    }
}

/* ---- where a worker wakes ---------------------------------------------------------------------------------------- */

/* A halted processor of a virtual machine may not look idle to Linux, which then wakes the worker on the processor of
   the caller: there it waits until the caller's time is up, for milliseconds. So the caller takes its own processor
   from those that a sleeping worker may use, and the worker, once awake, takes it back. */
typedef struct {
    int asleep, kept_off; /* kept_off: a processor + 1, or 0 */
#ifdef ON_LINUX
    pid_t thread;
#endif
} worker_place;

static worker_place places[POOL_MAX]; /* by worker; guarded by sleep_lock */

#ifdef ON_LINUX
/* Let a worker run anywhere but on processor `here`, if it has another; -1: anywhere again. */
static void keep_off(worker_place *place, int here) {
    cpu_set_t allowed;
    if (here < 0 && !place->kept_off) return;
    if (sched_getaffinity(place->thread, sizeof allowed, &allowed)) return;
    if (place->kept_off) CPU_SET(place->kept_off - 1, &allowed);
    int leave_out = here >= 0 && here < CPU_SETSIZE && CPU_ISSET(here, &allowed) && CPU_COUNT(&allowed) > 1;
    if (leave_out) CPU_CLR(here, &allowed);
    if (!sched_setaffinity(place->thread, sizeof allowed, &allowed)) place->kept_off = leave_out ? here + 1 : 0;
}

static void keep_sleepers_off_this_processor(void) {
    int here = sched_getcpu();
    for (int i = 1; i <= started; i++)
        if (places[i].asleep && places[i].kept_off != here + 1) keep_off(&places[i], here);
}

static void fall_asleep(worker_place *place) {
    place->thread = (pid_t)syscall(SYS_gettid);
    place->asleep = 1;
}
#else
static void keep_off(worker_place *place, int here) { (void)place, (void)here; }
static void keep_sleepers_off_this_processor(void) {}
static void fall_asleep(worker_place *place) { place->asleep = 1; }
#endif

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/* Wait until a job other than `seen` is open, join it, return its generation. */
static uint64_t join_job(int index, uint64_t seen) {
    for (int spins = 0;; spins++) {
        uint64_t now = atomic_load_explicit(&state, memory_order_acquire);
        if ((now & OPEN) && now / GENERATION != seen) {
            if (atomic_compare_exchange_weak_explicit(&state, &now, now + 1, memory_order_acq_rel,
                                                      memory_order_relaxed))
                return now / GENERATION;
            continue;
        }
        if (spins < SPINS) {
            relax();
            continue;
        }
        lock_take(&sleep_lock);
        fall_asleep(&places[index]);
        atomic_fetch_add(&sleepers, 1);
        for (now = atomic_load(&state); !(now & OPEN) || now / GENERATION == seen; now = atomic_load(&state)) {
            signal_wait(&wake, &sleep_lock);
            keep_off(&places[index], -1);
        }
        atomic_fetch_sub(&sleepers, 1);
        places[index].asleep = 0;
        lock_leave(&sleep_lock);
        spins = 0;
    }
}

static thread_end THREAD_CALL worker(void *argument) {
    int index = (int)(intptr_t)argument;
    uint64_t seen = 0;
    for (;;) {
        seen = join_job(index, seen);
        if (index < job_threads) take_tasks(index);
        atomic_fetch_sub_explicit(&state, 1, memory_order_release);
    }
    return 0;
}

#ifdef _WIN32 /* no process goes on as a copy */
static void mind_forks(void) {}
#else
/* In a forked child no worker exists; locks are in the state that the fork found them in. */
static void after_fork_in_child(void) {
    pthread_mutex_init(&use_lock, NULL);
    pthread_mutex_init(&sleep_lock, NULL);
    pthread_cond_init(&wake, NULL);
    atomic_store(&state, 0);
    atomic_store(&sleepers, 0);
    memset(places, 0, sizeof places);
    started = 0;
}

static void mind_forks(void) {
    static int minded;
    if (!minded) minded = !pthread_atfork(NULL, NULL, after_fork_in_child);
}
#endif

static void start_workers(int count) {
    mind_forks();
    while (started < count && thread_started(worker, (void *)(intptr_t)(started + 1))) started++;
}

static int run_alone(pool_task task, void *context, ptrdiff_t tasks) {
    int failed = 0;
    for (ptrdiff_t i = 0; i < tasks; i++) failed |= task(context, i);
    return failed ? -1 : 0;
}

int pool_run(pool_task task, void *context, ptrdiff_t tasks, int parallel) {
    int threads = atomic_load_explicit(&wanted, memory_order_relaxed);
    if (!parallel || threads < 2 || tasks < 2 || !lock_taken(&use_lock)) return run_alone(task, context, tasks);
    if (started < threads - 1) start_workers(threads - 1);
    job_task = task;
    job_context = context;
    job_threads = threads;
    for (int i = 0; i < threads; i++) {
        atomic_store_explicit(&job_shares[i].next, i * tasks / threads, memory_order_relaxed);
        job_shares[i].end = (i + 1) * tasks / threads;
    }
    atomic_store_explicit(&job_failed, 0, memory_order_relaxed);
    uint64_t generation = atomic_load(&state) / GENERATION + 1;
    if (generation > UINT32_MAX) generation = 1;
    atomic_store(&state, generation * GENERATION + OPEN);
    if (atomic_load(&sleepers)) {
        lock_take(&sleep_lock);
        keep_sleepers_off_this_processor();
        signal_all(&wake);
        lock_leave(&sleep_lock);
    }
    take_tasks(0);
    atomic_fetch_and_explicit(&state, ~OPEN, memory_order_acq_rel);
    while (atomic_load_explicit(&state, memory_order_acquire) & JOINED) relax();
    int failed = atomic_load_explicit(&job_failed, memory_order_relaxed);
    lock_leave(&use_lock);
    return failed ? -1 : 0;
}

void pool_set_threads(int threads) { atomic_store(&wanted, threads < 1 ? 1 : threads > POOL_MAX ? POOL_MAX : threads); }

int pool_get_threads(void) { return atomic_load(&wanted); }

/* ---- memory ------------------------------------------------------------------------------------------------------ */

enum { PAGE = 4096, LARGE_PAGE = 1 << 21 };

void *pool_memory(size_t bytes) {
    void *memory = memory_take(bytes, bytes < 16 * PAGE ? 64 : PAGE);
#if defined(ON_LINUX) && defined(MADV_HUGEPAGE)
    if (memory && bytes >= LARGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE); /* a wish: its result does not matter */
#endif
    return memory;
}

void pool_free(void *memory) { memory_leave(memory); }

/* ---- scratch ----------------------------------------------------------------------------------------------------- */

typedef struct {
    void *memory[2];
    size_t bytes[2];
} scratch_slots;

static thread_key scratch_key;
static thread_once scratch_once = ONCE_READY;

static void THREAD_CALL scratch_free(void *argument) {
    scratch_slots *slots = argument;
    if (!slots) return;
    pool_free(slots->memory[0]);
    pool_free(slots->memory[1]);
    free(slots);
}

static void scratch_make_key(void) { key_make(&scratch_key, scratch_free); }

void *pool_scratch(int slot, size_t bytes) {
    once(&scratch_once, scratch_make_key);
    scratch_slots *slots = key_get(scratch_key);
    if (!slots) {
        slots = calloc(1, sizeof *slots);
        if (!slots || !key_set(scratch_key, slots)) {
            free(slots);
            return NULL;
        }
    }
    if (slots->bytes[slot] < bytes) {
        pool_free(slots->memory[slot]);
        slots->memory[slot] = NULL;
        slots->bytes[slot] = 0;
        void *memory = pool_memory(bytes);
        if (!memory) return NULL;
        slots->memory[slot] = memory;
        slots->bytes[slot] = bytes;
    }
    return slots->memory[slot] ? slots->memory[slot] : (void *)slots;
}
