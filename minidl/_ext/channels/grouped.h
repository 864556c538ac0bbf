/* A convolution in groups of 2, 4 or 8 channels, fewer than a vector has: weights (blocks, k, KH, KW, L).

   Output lane l sums over the channels k of its group. Each vector of x becomes one vector for each k, that channel in
   all lanes of its group, in memory of the thread: over these the convolution is a sum of depthwise ones. */
#ifndef MINIDL_CHANNELS_GROUPED_H
#define MINIDL_CHANNELS_GROUPED_H

#include "depthwise.h"

static int pack_grouped_task(void *context, ptrdiff_t block) {
    const program_step *step = context;
    const geometry *g = &step->g;
    const weight_order *order = &step->order;
    const T *scale = step->scale;
    size each = g->O / g->G;
    T *to = (T *)step->w + block * g->KH * g->KW * each * L;
    for (size k = 0; k < each; k++) {
        for (size i = 0; i < g->KH; i++) {
            for (size j = 0; j < g->KW; j++) {
                const T *at = (const T *)step->weights + order->at + i * order->row + j * order->column + k * order->in;
                for (size o = block * L; o < (block + 1) * L; o++) {
                    T value = o < g->O ? at[o / each * order->group + o % each * order->out] : 0;
                    *to++ = o < g->O && scale ? value * scale[o] : value;
                }
            }
        }
    }
    return 0;
}

/* Lane i of channel k of groups of n. */
#define WITHIN(i, n, k) ((i) / (n) * (n) + (k))
#define SPREAD(n, k) store(to + (k) * plane, SHUFFLE(VI, v, v, EACH_LANE(WITHIN, n, k)));

/* The vectors of `count` neighbouring pixels, in `each` planes. */
static void spread(size each, const T *x, size count, T *to, size plane) {
    for (const T *end = x + count * L; x < end; x += L, to += L) {
        V v = load(x);
        if (each == 2) {
            SPREAD(2, 0) SPREAD(2, 1)
        }
#if LANES > 4
        if (each == 4) {
            SPREAD(4, 0) SPREAD(4, 1) SPREAD(4, 2) SPREAD(4, 3)
        }
#endif
#if LANES > 8
        if (each == 8) {
            SPREAD(8, 0) SPREAD(8, 1) SPREAD(8, 2) SPREAD(8, 3) SPREAD(8, 4) SPREAD(8, 5) SPREAD(8, 6) SPREAD(8, 7)
        }
#endif
    }
}
#undef SPREAD

/* By strips, whose vectors stay in the first cache from row to row. */
static int grouped_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    const geometry *g = &step->g;
    step_part part = part_of(job, task);
    size each = g->O / g->G, parts = ceil_div(step->y.W, PIXELS_OF_TWO), widest = ceil_div(step->y.W, parts);
    size columns = (widest - 1) * g->SW + (g->KW - 1) * g->DW + 1;
    size rows = (part.r1 - part.r0 - 1) * g->SH + (g->KH - 1) * g->DH + 1;
    T *strip = pool_scratch(SCRATCH_TASK, (size_t)(rows * columns * each * L) * sizeof(T));
    if (!strip) return -1;
    program_step spread_out = *step;
    spread_out.depth = each, spread_out.x.pitch = columns * L, spread_out.x.plane = rows * columns * L;
    size S = stride_of_nine(g), most = S == 1 ? 2 : 1;
    const T *w = (const T *)step->w + part.group * each * g->KH * g->KW * L;
    const T *bias = (const T *)step->b + part.group * L;
    for (size p = 0; p < parts; p++) {
        size start = p * step->y.W / parts, Q = (p + 1) * step->y.W / parts - start;
        const T *x =
            map_at(&step->x, job->arena, part.image, part.group, part.r0 * g->SH - g->PH, start * g->SW - g->PW);
        for (size row = 0; row < rows; row++)
            spread(each, x + row * step->x.pitch, (Q - 1) * g->SW + (g->KW - 1) * g->DW + 1, strip + row * columns * L,
                   spread_out.x.plane);
        for (size row = part.r0; row < part.r1; row += most) {
            T *y = map_at(&step->y, job->arena, part.image, part.group, row, start);
            const T *other = step->add ? map_at(&step->other, job->arena, part.image, part.group, row, start) : y;
            depthwise_tile_of(S, smaller(most, part.r1 - row), Q, &spread_out, w, bias,
                              strip + (row - part.r0) * g->SH * columns * L, other, y);
        }
    }
    finish_block(job, part.image, part.group, part.r0, part.r1);
    return 0;
}

static int grouped_step(step_job *job) {
    const geometry *g = &job->step->g;
    deal_blocks(job);
    size work = job->n * job->groups * job->step->y.H * job->step->y.W * g->KH * g->KW * (g->O / g->G);
    return run_tasks(job, grouped_task, job->n * job->groups * job->bands, work > PARALLEL_FROM);
}

#endif
