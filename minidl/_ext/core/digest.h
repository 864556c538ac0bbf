/* A number that changes when one word of an array does. */
#ifndef MINIDL_CORE_DIGEST_H
#define MINIDL_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* FNV-1a by words, in four chains that do not wait for each other: each step is one to one in the word. A product never
   moves the sign of a word's upper number, so the shift moves it, but not to the sign of the lower one: changed signs
   would undo each other. */
static inline uint64_t digest(const void *data, ptrdiff_t bytes) {
    const uint64_t prime = 0x100000001b3u;
    const char *at = data;
    uint64_t chain[4] = {1, 2, 3, 4}, word;
    for (; bytes >= 32; bytes -= 32, at += 32) {
        for (int i = 0; i < 4; i++) {
            memcpy(&word, at + 8 * i, 8);
            chain[i] = (chain[i] ^ word) * prime;
            chain[i] ^= chain[i] >> 29;
        }
    }
    for (; bytes > 0; bytes--, at++) chain[0] = (chain[0] ^ (uint8_t)*at) * prime;
    for (int i = 1; i < 4; i++) chain[0] = (chain[0] ^ chain[i]) * prime;
    return chain[0];
}

#endif
