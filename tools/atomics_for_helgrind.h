/* Helgrind and DRD know locks and signals, but not what C's atomic operations order. To be included before all else
   (`-include`): the pool's atomic operations tell them. With -DFOR_DRD for DRD. An order that the program asks for as
   relaxed stays none. */
#ifndef ATOMICS_FOR_HELGRIND_H
#define ATOMICS_FOR_HELGRIND_H

#include <stdatomic.h>

#ifdef FOR_DRD
#include <valgrind/drd.h>
#define NOT_CHECKED(p) DRD_IGNORE_VAR(*(p))
#else
#include <valgrind/helgrind.h>
#define NOT_CHECKED(p) VALGRIND_HG_DISABLE_CHECKING(p, sizeof *(p))
#endif

#define TELL(what, p, order) \
    do { \
        NOT_CHECKED(p); \
        if ((order) != memory_order_relaxed) what(p); \
    } while (0)
#define PLAIN(p) __typeof__((void)0, *(p))

#undef atomic_load_explicit
#undef atomic_load
#undef atomic_store_explicit
#undef atomic_store
#undef atomic_fetch_add_explicit
#undef atomic_fetch_add
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_weak_explicit

#define atomic_load_explicit(p, order) \
    __extension__({ \
        PLAIN(p) found_ = __atomic_load_n(p, __ATOMIC_SEQ_CST); \
        TELL(ANNOTATE_HAPPENS_AFTER, p, order); \
        found_; \
    })
#define atomic_store_explicit(p, value, order) \
    __extension__({ \
        TELL(ANNOTATE_HAPPENS_BEFORE, p, order); \
        __atomic_store_n(p, value, __ATOMIC_SEQ_CST); \
    })
#define CHANGED_(change, p, value, order) \
    __extension__({ \
        TELL(ANNOTATE_HAPPENS_BEFORE, p, order); \
        PLAIN(p) found_ = change(p, value, __ATOMIC_SEQ_CST); \
        TELL(ANNOTATE_HAPPENS_AFTER, p, order); \
        found_; \
    })
#define atomic_compare_exchange_weak_explicit(p, expected, value, order, otherwise) \
    __extension__({ \
        TELL(ANNOTATE_HAPPENS_BEFORE, p, order); \
        _Bool done_ = __atomic_compare_exchange_n(p, expected, value, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        if (done_) TELL(ANNOTATE_HAPPENS_AFTER, p, order); \
        else TELL(ANNOTATE_HAPPENS_AFTER, p, otherwise); \
        done_; \
    })
#define atomic_fetch_add_explicit(p, value, order) CHANGED_(__atomic_fetch_add, p, value, order)
#define atomic_fetch_sub_explicit(p, value, order) CHANGED_(__atomic_fetch_sub, p, value, order)
#define atomic_fetch_and_explicit(p, value, order) CHANGED_(__atomic_fetch_and, p, value, order)
#define atomic_load(p) atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store(p, value) atomic_store_explicit(p, value, memory_order_seq_cst)
#define atomic_fetch_add(p, value) atomic_fetch_add_explicit(p, value, memory_order_seq_cst)
#define atomic_fetch_sub(p, value) atomic_fetch_sub_explicit(p, value, memory_order_seq_cst)

#endif
