/* The gradient of routing.h, through all passes. First a task is a block, then a few capsules of the whole batch. */
#ifndef MINIDL_LANES_ROUTING_BACK_H
#define MINIDL_LANES_ROUTING_BACK_H

#include <string.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"
#include "capsule.h"
#include "routing.h"

/* What the first half of the backward pass leaves for the second, of each block. */
typedef struct {
    const capsules_backward_args *a;
    T *ds;     /* (routings, rows): gradients of the sums */
    T *agreed; /* (routings - 1, rows): v of pass 1, v of pass 1 + v of pass 2, ... */
    T *db;     /* (routings - 1, I, J): gradients of the logits */
} route_back_job;

/* One block, from the last pass to the first: each pass's agreement needs the gradient of all v before it. */
static int route_back_task(void *context, ptrdiff_t block) {
    const route_back_job *job = context;
    const capsules_backward_args *a = job->a;
    size I = a->I, D = a->D, J = a->J, E = a->E, R = a->routings, rows = J * E, step = rows * L;
    const T *u = (const T *)a->u + block * I * D * L, *w = a->w, *s = (const T *)a->s + block * R * step;
    const T *c = (const T *)a->c + block * (R - 1) * I * J * L;
    T *ds = job->ds + block * R * step, *agreed = job->agreed + block * (R - 1) * step;
    T *db = job->db + block * (R - 1) * I * J * L;
    T *votes = pool_scratch(SCRATCH_TASK, (size_t)(2 * rows) * VBYTES);
    if (!votes) return -1;
    T *dv = votes + step;
    for (size r = 0; r + 1 < R; r++) {
        for (size j = 0; j < J; j++) squash(s + r * step + j * E * L, L, E, agreed + r * step + j * E * L);
        if (r)
            for (size at = r * step; at < (r + 1) * step; at += L)
                store(agreed + at, load(agreed + at) + load(agreed + at - step));
    }
    memset(dv, 0, (size_t)rows * VBYTES);
    for (size r = R - 1; r >= 0; r--) {
        const T *above = r == R - 1 ? (const T *)a->dv + block * step : dv;
        for (size j = 0, at = 0; j < J; j++, at += E * L)
            squash_slope(above + at, s + r * step + at, L, E, ds + r * step + at);
        for (size i = 0; i < I && r > 0; i++) {
            size at = ((r - 1) * I + i) * J * L;
            V mean = {0};
            vote(rows, D, 0, w + i * rows * D, u + i * D * L, votes);
            for (size j = 0; j < J; j++) {
                V dc = dot(votes + j * E * L, ds + r * step + j * E * L, E);
                mean += load(c + at + j * L) * dc;
                store(db + at + j * L, dc);
            }
            for (size j = 0; j < J; j++) {
                V slope = load(c + at + j * L) * (load(db + at + j * L) - mean);
                store(db + at + j * L, slope);
                for (size k = j * E * L; k < (j + 1) * E * L; k += L)
                    store(dv + k, load(dv + k) + slope * load(votes + k));
            }
        }
    }
    return 0;
}

enum { SHARED = 4, GRAD_SIDE = 4 }; /* capsules a task; rows and columns of a tile of dw */

/* dvotes = c ds + db agreed, summed over the passes, of capsule j above and each of the task's capsules. */
static void vote_gradient(const route_back_job *job, size block, size i0, size count, size j, T *dvotes, size capsule) {
    const capsules_backward_args *a = job->a;
    size J = a->J, E = a->E, R = a->routings, step = J * E * L, IJ = a->I * J * L;
    const T *ds = job->ds + block * R * step + j * E * L, *agreed = job->agreed + block * (R - 1) * step + j * E * L;
    const T *c = (const T *)a->c + block * (R - 1) * IJ, *db = job->db + block * (R - 1) * IJ;
    for (size i = 0; i < count; i++) {
        T *out = dvotes + i * capsule + j * E * L;
        for (size e = 0; e < E * L; e += L) store(out + e, load(ds + e) * (T)(1 / (double)J));
        for (size r = 1; r < R; r++) {
            size at = (r - 1) * IJ + ((i0 + i) * J + j) * L;
            V share = load(c + at), slope = load(db + at);
            for (size e = 0; e < E * L; e += L)
                store(out + e,
                      load(out + e) + share * load(ds + r * step + e) + slope * load(agreed + (r - 1) * step + e));
        }
    }
}

/* dw of one capsule, a tile at a time: the sum over blocks, then over lanes. Places behind the last row or column
   repeat it. */
static void vote_weights(const capsules_backward_args *a, size i, const T *dvotes, size block_step) {
    size rows = a->J * a->E, D = a->D, blocks = blocks_of(a->n);
    T *dw = (T *)a->dw + i * rows * D;
    for (size row = 0; row < rows; row += GRAD_SIDE) {
        for (size d = 0; d < D; d += GRAD_SIDE) {
            V sum[GRAD_SIDE][GRAD_SIDE];
            size row_at[GRAD_SIDE], d_at[GRAD_SIDE];
            UNROLL for (int k = 0; k < GRAD_SIDE; k++) {
                row_at[k] = smaller(row + k, rows - 1) * L;
                d_at[k] = (i * D + smaller(d + k, D - 1)) * L;
                UNROLL for (int m = 0; m < GRAD_SIDE; m++) sum[k][m] = (V){0};
            }
            for (size block = 0; block < blocks; block++) {
                const T *g = dvotes + block * block_step, *u = (const T *)a->u + block * a->I * D * L;
                V value[GRAD_SIDE];
                UNROLL for (int m = 0; m < GRAD_SIDE; m++) value[m] = load(u + d_at[m]);
                UNROLL for (int k = 0; k < GRAD_SIDE; k++) {
                    V gradient = load(g + row_at[k]);
                    UNROLL for (int m = 0; m < GRAD_SIDE; m++) sum[k][m] += gradient * value[m];
                }
            }
            T total[GRAD_SIDE * GRAD_SIDE];
            UNROLL for (int t = 0; t < GRAD_SIDE * GRAD_SIDE / S; t++) {
                VS group[S];
                UNROLL for (int k = 0; k < S; k++) group[k] =
                    add_halves(sum[(t * S + k) / GRAD_SIDE][(t * S + k) % GRAD_SIDE]);
                VS lanes = sum_lanes(group);
                memcpy(total + t * S, &lanes, sizeof lanes);
            }
            for (size k = 0; k < GRAD_SIDE && row + k < rows; k++)
                for (size m = 0; m < GRAD_SIDE && d + m < D; m++) dw[(row + k) * D + d + m] = total[k * GRAD_SIDE + m];
        }
    }
}

/* A few capsules of the whole batch, so that dw has one order of summation and is written once. */
static int vote_back_task(void *context, ptrdiff_t task) {
    const route_back_job *job = context;
    const capsules_backward_args *a = job->a;
    size i0 = task * SHARED, count = smaller(SHARED, a->I - i0), blocks = blocks_of(a->n), D = a->D;
    size rows = a->J * a->E, capsule = blocks * rows * L;
    T *dvotes = pool_scratch(SCRATCH_TASK, (size_t)(SHARED * blocks * rows) * VBYTES);
    if (!dvotes) return -1;
    for (size block = 0; block < blocks; block++) {
        T *of_block = dvotes + block * rows * L;
        for (size j = 0; j < a->J; j++) vote_gradient(job, block, i0, count, j, of_block, capsule);
        for (size i = 0; i < count && a->du; i++)
            vote_back(rows, D, (const T *)a->w + (i0 + i) * rows * D, of_block + i * capsule,
                      (T *)a->du + (block * a->I + i0 + i) * D * L);
    }
    for (size i = 0; i < count; i++) vote_weights(a, i0 + i, dvotes + i * capsule, rows * L);
    return 0;
}

static int capsules_backward(const capsules_backward_args *a) {
    size blocks = blocks_of(a->n), R = a->routings, rows = a->J * a->E, logits = (R - 1) * a->I * a->J;
    if (!blocks) {
        memset(a->dw, 0, (size_t)(a->I * rows * a->D) * sizeof(T));
        return 0;
    }
    T *memory = pool_scratch(SCRATCH_CALL, (size_t)(blocks * ((2 * R - 1) * rows + logits)) * VBYTES);
    if (!memory) return -1;
    route_back_job job = {a, memory, memory + blocks * R * rows * L, memory + blocks * (2 * R - 1) * rows * L};
    int parallel = a->n * a->I * rows * a->D > PARALLEL_FROM;
    if (pool_run(route_back_task, &job, blocks, parallel)) return -1;
    return pool_run(vote_back_task, &job, ceil_div(a->I, SHARED), parallel);
}

#endif
