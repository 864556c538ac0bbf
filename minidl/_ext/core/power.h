/* Powers of positive numbers, as local response normalisation takes them. */
#ifndef MINIDL_CORE_POWER_H
#define MINIDL_CORE_POWER_H

#include <math.h>
#include <stdint.h>

#include "element.h"
#include "vector.h"

enum { MANTISSA = IS_FLOAT ? 23 : 52, ARTANH_TERMS = IS_FLOAT ? 6 : 11 };

/* s, or the smallest normal number where s is below it. */
INLINE V normal_number(V s) {
    const T smallest = (T)(IS_FLOAT ? 1.17549435e-38 : 2.2250738585072014e-308);
    return choose(s < smallest, splat(smallest), s);
}

/* log(s) of normal positive numbers: s = 2^e m with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh(t), t = (m - 1) / (m +
   1), |t| < 0.172, by its series. */
INLINE V natural_log(V s) {
    const INT half = (INT)(IS_FLOAT ? 0x3f3504f3 : 0x3fe6a09e667f3bcd); /* the bits of sqrt(1/2) */
    VI e = ((VI)s - half) >> MANTISSA;
    V m = (V)((VI)s - (e << MANTISSA)), exponent = __builtin_convertvector(e, V);
    V t = (m - 1) / (m + 1), square = t * t, q = splat((T)1 / (2 * ARTANH_TERMS - 1));
    UNROLL for (int i = ARTANH_TERMS - 2; i >= 0; i--) q = q * square + (T)1 / (T)(2 * i + 1);
    return exponent * (T)0.69314718055994530942 + 2 * t * q;
}

/* s^-power for s of at least the smallest normal number; 0 at infinity if power is positive. */
INLINE V inverse_power(V s, T power) {
    if (power == 0) return splat(1);
    V p = exp_series(natural_log(s) * -power, 1);
    p = choose(s == (T)HUGE_VAL, (V){0}, p);
    return choose(s != s, s, p);
}

#endif
