/* The operating system's threads and memory, as the pool needs them: POSIX's or those of Windows. */
#ifndef MINIDL_CORE_THREADS_H
#define MINIDL_CORE_THREADS_H

#include <stddef.h>

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <malloc.h>
#include <process.h>
#include <windows.h>

typedef SRWLOCK thread_lock;
typedef CONDITION_VARIABLE thread_signal;
typedef INIT_ONCE thread_once;
typedef DWORD thread_key;
typedef unsigned thread_end;
#define LOCK_READY SRWLOCK_INIT
#define SIGNAL_READY CONDITION_VARIABLE_INIT
#define ONCE_READY INIT_ONCE_STATIC_INIT
#define THREAD_CALL __stdcall /* of functions that the system calls */

static inline void lock_take(thread_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline int lock_taken(thread_lock *lock) { return TryAcquireSRWLockExclusive(lock); }
static inline void lock_leave(thread_lock *lock) { ReleaseSRWLockExclusive(lock); }

static inline void signal_wait(thread_signal *signal, thread_lock *lock) {
    SleepConditionVariableSRW(signal, lock, INFINITE, 0);
}
static inline void signal_all(thread_signal *signal) { WakeAllConditionVariable(signal); }

static inline int thread_started(thread_end(THREAD_CALL *run)(void *), void *argument) {
    HANDLE thread = (HANDLE)_beginthreadex(NULL, 0, run, argument, 0, NULL);
    return thread && CloseHandle(thread);
}

static inline void once(thread_once *first, void (*make)(void)) {
    BOOL pending;
    InitOnceBeginInitialize(first, 0, &pending, NULL);
    if (!pending) return;
    make();
    InitOnceComplete(first, 0, NULL);
}

static inline void key_make(thread_key *key, void(THREAD_CALL *end)(void *)) { *key = FlsAlloc(end); }
static inline void *key_get(thread_key key) { return FlsGetValue(key); }
static inline int key_set(thread_key key, void *value) { return FlsSetValue(key, value); }

static inline void *memory_take(size_t bytes, size_t alignment) { return _aligned_malloc(bytes, alignment); }
static inline void memory_leave(void *memory) { _aligned_free(memory); }

#else

#include <pthread.h>
#include <stdlib.h>

typedef pthread_mutex_t thread_lock;
typedef pthread_cond_t thread_signal;
typedef pthread_once_t thread_once;
typedef pthread_key_t thread_key;
typedef void *thread_end;
#define LOCK_READY PTHREAD_MUTEX_INITIALIZER
#define SIGNAL_READY PTHREAD_COND_INITIALIZER
#define ONCE_READY PTHREAD_ONCE_INIT
#define THREAD_CALL

static inline void lock_take(thread_lock *lock) { pthread_mutex_lock(lock); }
static inline int lock_taken(thread_lock *lock) { return !pthread_mutex_trylock(lock); }
static inline void lock_leave(thread_lock *lock) { pthread_mutex_unlock(lock); }

static inline void signal_wait(thread_signal *signal, thread_lock *lock) { pthread_cond_wait(signal, lock); }
static inline void signal_all(thread_signal *signal) { pthread_cond_broadcast(signal); }

/* Whether a thread runs now that nobody waits for. */
static inline int thread_started(thread_end (*run)(void *), void *argument) {
    pthread_t thread;
    return !pthread_create(&thread, NULL, run, argument) && !pthread_detach(thread);
}

static inline void once(thread_once *first, void (*make)(void)) { pthread_once(first, make); }

/* A pointer of each thread, given to `end` when the thread ends. */
static inline void key_make(thread_key *key, void (*end)(void *)) { pthread_key_create(key, end); }
static inline void *key_get(thread_key key) { return pthread_getspecific(key); }
static inline int key_set(thread_key key, void *value) { return !pthread_setspecific(key, value); }

static inline void *memory_take(size_t bytes, size_t alignment) {
    void *memory = NULL;
    return posix_memalign(&memory, alignment, bytes) ? NULL : memory;
}
static inline void memory_leave(void *memory) { free(memory); }

#endif

#endif
