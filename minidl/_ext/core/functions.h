/* Elementwise functions of real files, made of the exponential and the normal distribution in exponential.h. What a
   limit is where the formula is inf - inf or 0 inf: minidl/kernels/contract/, elementwise_forward. */
#ifndef MINIDL_CORE_FUNCTIONS_H
#define MINIDL_CORE_FUNCTIONS_H

#include <math.h>

#include "exponential.h"
#include "vector.h"

enum {
    ROOT_TERMS = IS_FLOAT ? 6 : 12,
    ERF_TERMS = IS_FLOAT ? 8 : 14,
    WHOLE_POWER = 16,
    FAR_OUT = IS_FLOAT ? 100 : 750
};
#define LARGEST ((T)(IS_FLOAT ? 0x1.fffffep127 : 0x1.fffffffffffffp1023))

INLINE V magnitude(V x) { return (V)((VI)x & ~(VI)splat((T)-0.0)); }
INLINE V between(V x, T low, T high) { return at_least(at_most(x, high), low); }

/* exp(x) down to 0 and up to infinity, for exp_series ends before both: a square. */
INLINE V exponential(V x) {
    V root = exp_series(x / 2, 1);
    return root * root;
}

/* log(x) = k ln 2 + 2 artanh(s) with x = 2^k m, m from sqrt(1/2) to sqrt(2), s = (m - 1) / (m + 1). */
INLINE V logarithm(V x) {
    enum { BITS = IS_FLOAT ? 23 : 52, RAISE = IS_FLOAT ? 32 : 64 };
    VI small = x < (T)(IS_FLOAT ? 0x1p-126 : 0x1p-1022);
    V z = choose(small, x * (T)(IS_FLOAT ? 0x1p32 : 0x1p64), x);
    VI above = (VI)z - (VI)splat((T)0.70710678118654752440);
    V m = (V)((VI)z - (above & ~(((INT)1 << BITS) - 1)));
    V k = __builtin_convertvector(above >> BITS, V) - (V)((VI)splat((T)RAISE) & small);
    V s = (m - 1) / (m + 1), square = s * s, q = splat((T)2 / (2 * ROOT_TERMS - 1));
    UNROLL for (int j = ROOT_TERMS - 2; j >= 0; j--) q = q * square + (T)2 / (T)(2 * j + 1);
    V low = k * (T)(IS_FLOAT ? -2.12194440054690583e-4 : 1.42860682030941723212e-6) + s * q;
    V y = k * (T)(IS_FLOAT ? 0.693359375 : 6.93145751953125e-1) + low;
    y = choose(x > LARGEST, x, y);
    return choose(x > 0, y, choose(x == 0, splat((T)-HUGE_VAL), splat((T)NAN)));
}

INLINE V square_root(V x) {
    union {
        V whole;
        T part[L];
    } u = {x};
    for (int i = 0; i < L; i++) u.part[i] = (T)(IS_FLOAT ? sqrtf((float)u.part[i]) : sqrt((double)u.part[i]));
    return u.whole;
}

/* x^p: whole p up to 16, and those and a half, by squares and a root; what is rare by the C library. */
INLINE V powered(V x, T p) {
    T most = p < 0 ? -p : p;
    int whole = most <= WHOLE_POWER && most == (T)(int)most;
    if (whole || (most <= WHOLE_POWER && 2 * most == (T)(int)(2 * most))) {
        V base = whole ? x : magnitude(x), y = whole ? splat(1) : square_root(base);
        for (int n = (int)most; n; n >>= 1, base *= base) {
            if (n & 1) y *= base;
        }
        y = p < 0 ? 1 / y : y;
        return whole ? y : choose(x < 0, splat((T)NAN), y);
    }
    V y = x;
    for (int l = 0; l < L; l++) y[l] = IS_FLOAT ? (T)powf((float)x[l], (float)p) : (T)pow((double)x[l], (double)p);
    return (T)floor((double)most) == most ? y : choose(x < 0, splat((T)NAN), y);
}

INLINE V power_slope(V x, T p) { return p == 0 ? (V){0} : p * powered(x, p - 1); }

/* Near 0 by its series, 2 / sqrt(pi) sum (-x^2)^k x / (k! (2k + 1)), or the leading digits of 2 Phi - 1 would cancel.
 */
INLINE V error_function(V x) {
    V unused, t = magnitude(x), square = x * x, q = splat((T)(inverse_factorial[ERF_TERMS - 2] / (2 * ERF_TERMS - 1)));
    UNROLL for (int k = ERF_TERMS - 2; k >= 0; k--) q =
        q * -square + (T)((k ? inverse_factorial[k - 1] : 1) / (2 * k + 1));
    V far = 2 * normal(t * (T)1.41421356237309504880, &unused) - 1;
    far = (V)((VI)far | ((VI)x & (VI)splat((T)-0.0)));
    return choose(t < (T)0.5, x * q * (T)1.12837916709551257390, far);
}

INLINE V silu(V x) { return at_least(x, -FAR_OUT) * sigmoid(x); }

INLINE V silu_slope(V x) {
    V s = sigmoid(x);
    return s + between(x, -FAR_OUT, FAR_OUT) * s * (1 - s);
}

/* tanh(softplus(x)) = top / bottom, in e = exp(-|x|). */
INLINE V mish_share(V x, V *e, V *bottom) {
    *e = exp_series((V)((VI)x | (VI)splat((T)-0.0)), 1);
    V top = choose(x < 0, *e * (*e + 2), 1 + 2 * *e);
    *bottom = top + choose(x < 0, splat(2), 2 * *e * *e);
    return top / *bottom;
}

INLINE V mish(V x) {
    V e, bottom;
    return at_least(x, -FAR_OUT) * mish_share(x, &e, &bottom);
}

/* With t that share, t + x (1 - t^2) sigmoid(x). */
INLINE V mish_slope(V x) {
    V e, bottom, t = mish_share(x, &e, &bottom);
    return t + between(x, -FAR_OUT, FAR_OUT) * (4 * choose(x < 0, e, e * e) * (1 + e)) / (bottom * bottom);
}

/* x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
INLINE V gelu_tanh(V x) {
    V z = between(x, -FAR, FAR);
    return at_least(x, -FAR) * sigmoid((T)1.59576912160573071 * z * (1 + (T)0.044715 * z * z));
}

INLINE V gelu_tanh_slope(V x) {
    V z = between(x, -FAR, FAR), s = sigmoid((T)1.59576912160573071 * z * (1 + (T)0.044715 * z * z));
    return s + z * s * (1 - s) * ((T)1.59576912160573071 * (1 + (T)0.134145 * z * z));
}

INLINE V softsign(V x) {
    V z = between(x, (T)-1e30, (T)1e30);
    return z / (1 + magnitude(z));
}

INLINE V softsign_slope(V x) {
    V share = 1 / (1 + magnitude(x));
    return share * share;
}

INLINE V hard_swish(V x) { return (V)((VI)(x * (at_most(x + 3, 6) / 6)) & ~(x <= -3)); }

#endif
