/* Local response normalisation, both ways: some pixels at a time, with all channels of each side by side in memory, so
   that a neighbour of L channels is a vector that starts elsewhere. Twin: minidl/kernels/reference/local_response.py.
 */
#ifndef MINIDL_CHANNELS_LOCAL_RESPONSE_H
#define MINIDL_CHANNELS_LOCAL_RESPONSE_H

#include "../core/power.h"
#include "function.h"
#include "map.h"

enum { RESPONSES_AT_ONCE = 8 };

/* rows: of squares, then of what dx sums, of RESPONSES_AT_ONCE pixels, `wide` elements each; the first channel stands
   `margin` behind the row's beginning. Around the channels are zeros. */
typedef struct {
    size margin, wide;
    T *squares, *parts, *powers;
} response_rows;

INLINE V response_sum(const T *from, size before, size behind) {
    V sum = {0};
    for (size i = -before; i <= behind; i++) sum += loadu(from + i);
    return sum;
}

/* (eps + p times the sum of squares)^-q of L channels; s: what is taken to that power. */
INLINE V response_power(const program_step *step, const T *squares, V *s) {
    *s = normal_number((T)step->eps + (T)step->p * response_sum(squares, step->before, step->behind));
    return inverse_power(*s, (T)step->q);
}

/* x, dy, out: the first of `count` pixels in a row of the first block. */
static void response_forward(const program_step *step, const response_rows *rows, size count, const T *x, T *out) {
    size blocks = map_blocks(&step->x);
    for (size b = 0; b < blocks; b++) {
        VI mask = lanes_of(&step->x, b);
        for (size p = 0; p < count; p++) {
            V s, v = load(x + b * step->x.plane + p * L);
            V power = response_power(step, rows->squares + p * rows->wide + rows->margin + b * L, &s);
            store(out + b * step->y.plane + p * L, (V)((VI)(v * power) & mask));
        }
    }
}

static void response_backward(const program_step *step, const response_rows *rows, size count, const T *x, const T *dy,
                              T *out) {
    size blocks = map_blocks(&step->x);
    T slope = (T)(2 * step->p * step->q);
    for (size b = 0; b < blocks; b++) {
        VI mask = lanes_of(&step->x, b);
        for (size p = 0; p < count; p++) {
            size at = p * rows->wide + rows->margin + b * L;
            V s, power = response_power(step, rows->squares + at, &s);
            V part = load(dy + b * step->dy.plane + p * L) * load(x + b * step->x.plane + p * L) * (power / s);
            store(rows->powers + at, power);
            store(rows->parts + at, (V)((VI)part & mask));
        }
    }
    for (size b = 0; b < blocks; b++) {
        VI mask = lanes_of(&step->x, b);
        for (size p = 0; p < count; p++) {
            size at = p * rows->wide + rows->margin + b * L;
            V sum = response_sum(rows->parts + at, step->behind, step->before);
            V d = load(dy + b * step->dy.plane + p * L) * load(rows->powers + at);
            d = (V)((VI)(d - slope * load(x + b * step->x.plane + p * L) * sum) & mask);
            T *to = out + b * step->dx.plane + p * L;
            store(to, step->add_dx ? load(to) + d : d);
        }
    }
}

/* All channels of a band of rows. */
static int response_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    int back = step->kind == STEP_LOCAL_RESPONSE_BACKWARD;
    const map *x = &step->x, *to = back ? &step->dx : &step->y;
    step_part part = part_of(job, task);
    size blocks = map_blocks(x), reach = larger(step->before, step->behind);
    response_rows rows = {.margin = ceil_div(reach, L) * L};
    rows.wide = 2 * rows.margin + blocks * L;
    size all = RESPONSES_AT_ONCE * rows.wide;
    rows.squares = pool_scratch(SCRATCH_TASK, (size_t)(all * (back ? 3 : 1)) * sizeof(T));
    if (!rows.squares) return -1;
    if (back) rows.parts = rows.squares + all, rows.powers = rows.parts + all;
    clear(rows.squares, all * (back ? 2 : 1));
    for (size row = part.r0; row < part.r1; row++) {
        for (size w = 0; w < x->W; w += RESPONSES_AT_ONCE) {
            size count = smaller(RESPONSES_AT_ONCE, x->W - w);
            const T *from = map_at(x, job->arena, part.image, 0, row, w);
            T *out = map_at(to, job->arena, part.image, 0, row, w);
            for (size b = 0; b < blocks; b++) {
                for (size p = 0; p < count; p++) {
                    V v = load(from + b * x->plane + p * L);
                    store(rows.squares + p * rows.wide + rows.margin + b * L, v * v);
                }
            }
            if (back)
                response_backward(step, &rows, count, from, map_at(&step->dy, job->arena, part.image, 0, row, w), out);
            else response_forward(step, &rows, count, from, out);
        }
    }
    for (size b = 0; b < blocks && !(back && step->add_dx); b++)
        clear_halo(to, job->arena, part.image, b, part.r0, part.r1);
    return 0;
}

static int response_step(step_job *job) {
    const map *x = &job->step->x;
    job->groups = 1;
    deal(job, job->threads > 1 ? TASKS_A_THREAD * job->threads : 1);
    size work = job->n * map_blocks(x) * x->H * x->W * (20 + job->step->before + job->step->behind);
    return run_tasks(job, response_task, job->n * job->bands, work > PARALLEL_FROM);
}

#endif
