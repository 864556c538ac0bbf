/* Routing by agreement between I capsules u of D values and J capsules v of E values.

   Votes are W u; with `rows` = J E the weights of capsule i are a (rows, D) matrix. Votes are not kept: a capsule's
   votes fill the first-level cache, those of a block would not fit into the second, and making them anew takes no
   longer than fetching them. The logits of pass r are votes . (v of pass 1 + ... + v of pass r - 1), so that they are
   not kept either. Twin: minidl/kernels/reference/capsule.py. */
#ifndef MINIDL_LANES_ROUTING_H
#define MINIDL_LANES_ROUTING_H

#include <math.h>
#include <string.h>

#include "../core/element.h"
#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"
#include "capsule.h"

enum { VOTE_ROWS = 8 };

INLINE void vote_tile(const int M, size D, int add, const T *w, const T *u, T *out) {
    V sum[VOTE_ROWS];
    UNROLL for (int m = 0; m < M; m++) sum[m] = add ? load(out + m * L) : (V){0};
    UNROLL_BY(16) for (size d = 0; d < D; d++) {
        V value = load(u + d * L);
        UNROLL for (int m = 0; m < M; m++) sum[m] += w[m * D + d] * value;
    }
    UNROLL for (int m = 0; m < M; m++) store(out + m * L, sum[m]);
}

INLINE void vote_loop(size rows, size D, int add, const T *w, const T *u, T *out) {
    size row = 0;
    for (; row + VOTE_ROWS <= rows; row += VOTE_ROWS) vote_tile(VOTE_ROWS, D, add, w + row * D, u, out + row * L);
    for (; row < rows; row++) vote_tile(1, D, add, w + row * D, u, out + row * L);
}

/* The votes of one capsule, into `out` or added to it; with copies for the usual D. */
static void vote(size rows, size D, int add, const T *w, const T *u, T *out) {
    if (D == 8 && add) vote_loop(rows, 8, 1, w, u, out);
    else if (D == 8) vote_loop(rows, 8, 0, w, u, out);
    else vote_loop(rows, D, add, w, u, out);
}

INLINE void vote_back_tile(const int P, size rows, size D, const T *w, const T *dvotes, T *du) {
    V sum[VOTE_ROWS];
    UNROLL for (int p = 0; p < P; p++) sum[p] = (V){0};
    for (size row = 0; row < rows; row++) {
        V value = load(dvotes + row * L);
        UNROLL for (int p = 0; p < P; p++) sum[p] += w[row * D + p] * value;
    }
    UNROLL for (int p = 0; p < P; p++) store(du + p * L, sum[p]);
}

/* du = W^T dvotes */
static void vote_back(size rows, size D, const T *w, const T *dvotes, T *du) {
    size d = 0;
    for (; d + VOTE_ROWS <= D; d += VOTE_ROWS) vote_back_tile(VOTE_ROWS, rows, D, w + d, dvotes, du + d * L);
    for (; d < D; d++) vote_back_tile(1, rows, D, w + d, dvotes, du + d * L);
}

INLINE V dot(const T *a, const T *b, size E) {
    V sum = {0};
    for (size e = 0; e < E; e++) sum += load(a + e * L) * load(b + e * L);
    return sum;
}

/* c = softmax(votes . agreed) over the J capsules above. */
INLINE void couple(size J, size E, const T *votes, const T *agreed, T *c) {
    V top = splat((T)-HUGE_VAL), sum = {0};
    for (size j = 0; j < J; j++) {
        V logit = dot(votes + j * E * L, agreed + j * E * L, E);
        top = choose(logit < top, top, logit);
        store(c + j * L, logit);
    }
    for (size j = 0; j < J; j++) {
        V e = exp_series(load(c + j * L) - top, 1);
        sum += e;
        store(c + j * L, e);
    }
    V factor = 1 / sum;
    for (size j = 0; j < J; j++) store(c + j * L, load(c + j * L) * factor);
}

/* One block: all passes. */
static int route_task(void *context, ptrdiff_t block) {
    const capsules_forward_args *a = context;
    size I = a->I, D = a->D, J = a->J, E = a->E, rows = J * E;
    const T *u = (const T *)a->u + block * I * D * L, *w = a->w;
    T *s = (T *)a->s + block * a->routings * rows * L, *v = (T *)a->v + block * rows * L;
    T *saved = a->c ? (T *)a->c + block * (a->routings - 1) * I * J * L : NULL;
    T *votes = pool_scratch(SCRATCH_TASK, (size_t)(2 * rows + J) * VBYTES);
    if (!votes) return -1;
    T *agreed = votes + rows * L, *own = agreed + rows * L;
    memset(agreed, 0, (size_t)rows * VBYTES);
    for (size r = 0; r < a->routings; r++, s += rows * L) {
        memset(s, 0, (size_t)rows * VBYTES);
        for (size i = 0; i < I; i++) {
            if (r == 0) {
                vote(rows, D, 1, w + i * rows * D, u + i * D * L, s);
                continue;
            }
            T *c = saved ? saved + ((r - 1) * I + i) * J * L : own;
            vote(rows, D, 0, w + i * rows * D, u + i * D * L, votes);
            couple(J, E, votes, agreed, c);
            for (size j = 0; j < J; j++) {
                V share = load(c + j * L);
                for (size at = j * E * L; at < (j + 1) * E * L; at += L)
                    store(s + at, load(s + at) + share * load(votes + at));
            }
        }
        if (r == 0)
            for (size at = 0; at < rows * L; at += L) store(s + at, load(s + at) * (T)(1 / (double)J));
        for (size j = 0; j < J; j++) squash(s + j * E * L, L, E, v + j * E * L);
        for (size at = 0; at < rows * L; at += L) store(agreed + at, load(agreed + at) + load(v + at));
    }
    return 0;
}

static int capsules_forward(const capsules_forward_args *a) {
    capsules_forward_args job = *a;
    return pool_run(route_task, &job, blocks_of(a->n), a->n * a->I * a->J * a->E * a->D > PARALLEL_FROM);
}

#endif
