/* Each channel with a kernel of its own: weights (blocks, KH, KW, L). Also what scales and shifts channels, 1 x 1. */
#ifndef MINIDL_CHANNELS_DEPTHWISE_H
#define MINIDL_CHANNELS_DEPTHWISE_H

#include "function.h"
#include "map.h"
#include "tile.h"

static int pack_depthwise_task(void *context, ptrdiff_t block) {
    const program_step *step = context;
    const geometry *g = &step->g;
    const weight_order *order = &step->order;
    const T *scale = step->scale;
    T *to = (T *)step->w + block * g->KH * g->KW * L;
    for (size i = 0; i < g->KH; i++) {
        for (size j = 0; j < g->KW; j++) {
            const T *at = (const T *)step->weights + order->at + i * order->row + j * order->column;
            for (size o = block * L; o < (block + 1) * L; o++) {
                T value = o < g->O ? at[o * order->group] : 0;
                *to++ = o < g->O && scale ? value * scale[o] : value;
            }
        }
    }
    return 0;
}

/* The ends of R rows of Q sums. */
INLINE void depthwise_end(const int R, const int Q, const program_step *step, V acc[PIXELS], const T *other, T *y) {
    const int add = step->add, rectified = rectified_in_tile(step), capped = capped_in_tile(step);
    const T cap = (T)step->q;
    UNROLL for (int p = 0; p < R * Q; p++) {
        V v = acc[p];
        if (add) v += load(other + p / Q * step->other.pitch + p % Q * step->other.step);
        store(y + p / Q * step->y.pitch + p % Q * step->y.step, end_of_sum(v, rectified, capped, cap));
    }
}

/* Q pixels of a row, any kernel; the sum of `depth` such convolutions, a plane of x and weights each. */
INLINE void depthwise_tile(const int Q, const program_step *step, const T *w, V bias, const T *x, const T *other,
                           T *y) {
    const geometry *g = &step->g;
    const size x_step = g->SW * L;
    V acc[PIXELS];
    UNROLL for (int j = 0; j < Q; j++) acc[j] = bias;
    for (size k = 0; k < step->depth; k++, x += step->x.plane) {
        for (size row = 0; row < g->KH; row++) {
            const T *at = x + row * g->DH * step->x.pitch;
            for (size column = 0; column < g->KW; column++, at += g->DW * L, w += L) {
                V weight = load(w);
                UNROLL for (int j = 0; j < Q; j++) acc[j] += weight * load(at + j * x_step);
            }
        }
    }
    depthwise_end(1, Q, step, acc, other, y);
}

/* As depthwise_tile, R rows of Q pixels of a 3 x 3 kernel with stride S: the weights stay in registers, and each value
   of x is loaded once for all windows that it is in. */
INLINE void depthwise_nine(const int S, const int R, const int Q, const program_step *step, const T *w, V bias,
                           const T *x, const T *other, T *y) {
    V weights[9], acc[PIXELS];
    UNROLL for (int p = 0; p < R * Q; p++) acc[p] = bias;
    for (size k = 0; k < step->depth; k++, x += step->x.plane, w += 9 * L) {
        UNROLL for (int i = 0; i < 9; i++) weights[i] = load(w + i * L);
        UNROLL for (int row = 0; row < 4; row++) {
            if (row >= (R - 1) * S + 3) continue;
            UNROLL for (int column = 0; column < 15; column++) {
                if (column >= (Q - 1) * S + 3) continue;
                V value = load(x + row * step->x.pitch + column * L);
                UNROLL for (int p = 0; p < PIXELS; p++) {
                    const int i = row - p / Q * S, j = column - p % Q * S;
                    if (p < R * Q && i >= 0 && i < 3 && j >= 0 && j < 3) acc[p] += weights[i * 3 + j] * value;
                }
            }
        }
    }
    depthwise_end(R, Q, step, acc, other, y);
}

#define DEFINE(s, r, q) \
    ONE_COPY void depthwise_##s##_##r##_##q(const program_step *step, const T *w, const T *bias, const T *x, \
                                            const T *other, T *y) { \
        depthwise_nine(s, r, q, step, w, load(bias), x, other, y); \
    }
TO_PIXELS_OF_TWO(DEFINE, 1, 1)
TO_PIXELS_OF_TWO(DEFINE, 1, 2)
TO_PIXELS_OF_TWO(DEFINE, 2, 1)
#undef DEFINE
#define DEFINE(m, r, q) \
    ONE_COPY void depthwise_any_##q(const program_step *step, const T *w, const T *bias, const T *x, const T *other, \
                                    T *y) { \
        depthwise_tile(q, step, w, load(bias), x, other, y); \
    }
TO_PIXELS_OF_TWO(DEFINE, 1, 1)
#undef DEFINE

/* The stride of a 3 x 3 kernel that has tiles of its own, or 0. */
INLINE size stride_of_nine(const geometry *g) {
    int own = g->KH == 3 && g->KW == 3 && g->DH == 1 && g->DW == 1 && g->SH == g->SW && g->SW <= 2;
    return own ? g->SW : 0;
}

static void depthwise_tile_of(size S, size R, size Q, const program_step *step, const T *w, const T *bias, const T *x,
                              const T *other, T *y) {
#define CASE(s, r, q) \
    case (s * 4 + r) * 16 + q: depthwise_##s##_##r##_##q(step, w, bias, x, other, y); break;
#define CASE_OF_ANY(s, r, q) \
    case 16 + q: depthwise_any_##q(step, w, bias, x, other, y); break;
    switch ((S * 4 + R) * 16 + Q) {
        TO_PIXELS_OF_TWO(CASE, 1, 1)
        TO_PIXELS_OF_TWO(CASE, 1, 2)
        TO_PIXELS_OF_TWO(CASE, 2, 1)
        TO_PIXELS_OF_TWO(CASE_OF_ANY, 0, 1)
    }
#undef CASE
#undef CASE_OF_ANY
}

/* Rows of one block. */
static void depthwise_rows(const step_job *job, step_part part) {
    const program_step *step = job->step;
    const geometry *g = &step->g;
    size S = stride_of_nine(g), most = S == 1 ? 2 : 1, parts = ceil_div(step->y.W, PIXELS_OF_TWO);
    const T *w = (const T *)step->w + part.group * g->KH * g->KW * L, *bias = (const T *)step->b + part.group * L;
    for (size row = part.r0; row < part.r1; row += most) {
        const T *x = map_at(&step->x, job->arena, part.image, part.group, row * g->SH - g->PH, -g->PW);
        T *y = map_at(&step->y, job->arena, part.image, part.group, row, 0);
        const T *other = step->add ? map_at(&step->other, job->arena, part.image, part.group, row, 0) : y;
        for (size p = 0; p < parts; p++) {
            size start = p * step->y.W / parts, end = (p + 1) * step->y.W / parts;
            depthwise_tile_of(S, smaller(most, part.r1 - row), end - start, step, w, bias, x + start * g->SW * L,
                              other + start * step->other.step, y + start * step->y.step);
        }
    }
    finish_block(job, part.image, part.group, part.r0, part.r1);
}

static int depthwise_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    depthwise_rows(job, part_of(job, task));
    return 0;
}

static int depthwise_step(step_job *job) {
    const geometry *g = &job->step->g;
    deal_blocks(job);
    size work = job->n * job->groups * job->step->y.H * job->step->y.W * g->KH * g->KW;
    return run_tasks(job, depthwise_task, job->n * job->groups * job->bands, work > PARALLEL_FROM);
}

#endif
