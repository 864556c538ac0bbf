/* Buffers that wait for reuse: a training loop allocates nothing after its first steps.

   Those of one size form a chain, the address of the next in the first bytes of each; the sizes stand in a table. One
   lock guards all of it, for as long as a few words are written: memory is asked for and given back outside. */
#include "buffers.h"

#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "threads.h"

enum { LEAST = 64, SPARE_BYTES = 16 << 20 };

typedef struct spare {
    struct spare *next;
} spare;

typedef struct {
    size_t bytes; /* of each in the chain */
    spare *first;
} chain;

static thread_lock lock = LOCK_READY;
static chain *chains; /* sorted by size */
static size_t count, room;
static buffer_bytes now;
static size_t most_live;

/* Where a size stands in the table, or would stand. */
static size_t place_of(size_t bytes) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (chains[middle].bytes < bytes) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The chain of a size, made if need be; NULL if there is no memory for it. */
static chain *chain_of(size_t bytes) {
    size_t at = place_of(bytes);
    if (at < count && chains[at].bytes == bytes) return &chains[at];
    if (count == room) {
        size_t larger = room ? 2 * room : 64;
        chain *grown = realloc(chains, larger * sizeof *grown);
        if (!grown) return NULL;
        chains = grown;
        room = larger;
    }
    memmove(&chains[at + 1], &chains[at], (count - at) * sizeof *chains);
    count++;
    chains[at] = (chain){.bytes = bytes};
    return &chains[at];
}

/* Take all that wait out of the table, as one chain. */
static spare *all_waiting(void) {
    spare *all = NULL;
    for (size_t i = 0; i < count; i++)
        for (spare *one = chains[i].first; one;) {
            spare *next = one->next;
            one->next = all;
            all = one;
            one = next;
        }
    count = 0;
    now.waiting = 0;
    most_live = now.live;
    return all;
}

static void free_all(spare *one) {
    while (one) {
        spare *next = one->next;
        pool_free(one);
        one = next;
    }
}

#ifndef _WIN32
static thread_once forks_minded = ONCE_READY;

/* A child has one thread: the table must not be one that another thread was about to change. */
static void before_fork(void) { lock_take(&lock); }
static void after_fork(void) { lock_leave(&lock); }
static void mind_forks(void) { pthread_atfork(before_fork, after_fork, after_fork); }
#endif

/* To be called with the lock. */
static void count_live(size_t bytes) {
    now.live += bytes;
    if (now.live > most_live) most_live = now.live;
}

void *buffers_take(size_t bytes) {
#ifndef _WIN32
    once(&forks_minded, mind_forks);
#endif
    lock_take(&lock);
    size_t at = place_of(bytes);
    spare *kept = at < count && chains[at].bytes == bytes ? chains[at].first : NULL;
    if (kept) {
        chains[at].first = kept->next;
        now.waiting -= bytes;
        count_live(bytes);
    }
    lock_leave(&lock);
    if (kept) return kept;
    void *memory = pool_memory(bytes < LEAST ? LEAST : bytes);
    if (!memory) return NULL;
    lock_take(&lock);
    count_live(bytes);
    lock_leave(&lock);
    return memory;
}

void buffers_return(void *memory, size_t bytes) {
    spare *let_go = NULL, *back = memory;
    lock_take(&lock);
    now.live -= bytes;
    /* All together never exceed the most that was in use by much: sizes of an earlier batch are let go. A step whose
       buffers are of many sizes needs some more than the most, or it would free and allocate them anew each time. */
    if (now.live + now.waiting + bytes > most_live + most_live / 4 + SPARE_BYTES) let_go = all_waiting();
    chain *same = chain_of(bytes);
    if (same) {
        back->next = same->first;
        same->first = back;
        now.waiting += bytes;
    }
    lock_leave(&lock);
    if (!same) pool_free(memory);
    free_all(let_go);
}

void buffers_release(void) {
    lock_take(&lock);
    spare *let_go = all_waiting();
    lock_leave(&lock);
    free_all(let_go);
}

buffer_bytes buffers_now(void) {
    lock_take(&lock);
    buffer_bytes found = now;
    lock_leave(&lock);
    return found;
}
