/* Sum, difference, product, quotient and prelu of two values, and their gradients; where an operand's values lie. */
#ifndef MINIDL_CORE_ARITHMETIC_H
#define MINIDL_CORE_ARITHMETIC_H

#include "kernels.h"
#include "sizes.h"
#include "vector.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"

INLINE V arithmetic_value(arithmetic which, V a, V b) {
    switch (which) {
    case ARITHMETIC_ADD: return a + b;
    case ARITHMETIC_SUB: return a - b;
    case ARITHMETIC_MUL: return a * b;
    case ARITHMETIC_DIV: return a / b;
    case ARITHMETIC_PRELU: return choose(a > 0, a, a * b);
    }
    __builtin_unreachable();
}

INLINE V gradient_of_a(arithmetic which, V dy, V a, V b) {
    switch (which) {
    case ARITHMETIC_ADD:
    case ARITHMETIC_SUB: return dy;
    case ARITHMETIC_MUL: return dy * b;
    case ARITHMETIC_DIV: return dy / b;
    case ARITHMETIC_PRELU: return choose(a > 0, dy, dy * b);
    }
    __builtin_unreachable();
}

INLINE V gradient_of_b(arithmetic which, V dy, V a, V b) {
    switch (which) {
    case ARITHMETIC_ADD: return dy;
    case ARITHMETIC_SUB: return -dy;
    case ARITHMETIC_MUL: return dy * a;
    case ARITHMETIC_DIV: return -dy * (a / b) / b;
    case ARITHMETIC_PRELU: return (V)((VI)(dy * a) & ~(a > 0));
    }
    __builtin_unreachable();
}

#pragma GCC diagnostic pop

INLINE V arithmetic_part_value(arithmetic which, arithmetic_part part, V dy, V a, V b) {
    if (part == PART_Y) return arithmetic_value(which, a, b);
    return part == PART_A ? gradient_of_a(which, dy, a, b) : gradient_of_b(which, dy, a, b);
}

INLINE size image_size(const size sizes[3]) { return sizes[0] * sizes[1] * sizes[2]; }

/* Elements from the operand's first one to that of place (k, j, i) of an image or block, `wide` elements a value. */
INLINE size operand_offset(const operand *o, size image, size k, size j, size i, size wide) {
    size at = k * o->steps[0] + j * o->steps[1] + i * o->steps[2];
    return o->fixed ? at : (image * o->F + at) * wide;
}

#define ARITHMETICS(DO) DO(ARITHMETIC_ADD) DO(ARITHMETIC_SUB) DO(ARITHMETIC_MUL) DO(ARITHMETIC_DIV) DO(ARITHMETIC_PRELU)

#endif
