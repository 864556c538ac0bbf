/* The switches of mutants in the kernels: included before all else by each file of them, see building.py. */
#ifndef MINIDL_MUTANT_SWITCH_H
#define MINIDL_MUTANT_SWITCH_H

#define MINIDL_SHARED __attribute__((visibility("protected")))

extern MINIDL_SHARED int minidl_mutant_now, minidl_mutants;
extern MINIDL_SHARED unsigned char minidl_mutant_seen[];

static inline __attribute__((always_inline, unused)) int minidl_mutant(int number) {
    if (!minidl_mutant_seen[number]) minidl_mutant_seen[number] = 1;
    return minidl_mutant_now == number;
}

#endif
