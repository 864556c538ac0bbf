/* Strided boxes of images, copied or added into another array; of any layout, `width` elements a value.

   The values of an image of y are cut into slices of equal size such that each box runs through whole slices with its
   outermost axis, or lies in one: a task has some slices of one block, and no two tasks share an output. */
#ifndef MINIDL_CORE_BOXES_H
#define MINIDL_CORE_BOXES_H

#include <string.h>

#include "kernels.h"
#include "pool.h"
#include "sizes.h"
#include "vector.h"

/* A row of the table, made ready: steps in y are not negative, the longest first. `slice` is the first one of y. */
typedef struct {
    size source, in, out, slice;
    int axes;
    size count[BOX_AXES + 1], in_step[BOX_AXES + 1], out_step[BOX_AXES + 1];
} box;

typedef struct {
    const boxes_args *args;
    const box *box;
    size boxes, slice, slices, some; /* values a slice, slices of an image, and of a task */
    int clear;                       /* whether values are there that no box gives */
} boxes_job;

typedef void (*box_run)(const T *x, size x_step, T *y, size y_step, size count);

enum { BOX_TASK = 1 << 15 }; /* elements of y a task, about */

INLINE void box_put(box *b, int axis, size count, size in_step, size out_step) {
    b->count[axis] = count, b->in_step[axis] = in_step, b->out_step[axis] = out_step;
}

/* A row of the table; 0 if it holds nothing for this output. */
static int box_read(const boxes_args *a, size row, box *b) {
    const size *r = a->table + row * (BOX_AXIS + 3 * a->axes);
    if (a->adjoint && r[BOX_SOURCE] != a->source) return 0;
    *b = (box){.source = a->adjoint ? 0 : r[BOX_SOURCE], .in = r[BOX_FROM], .out = r[BOX_TO]};
    if (a->adjoint) b->in = r[BOX_TO], b->out = r[BOX_FROM];
    for (size i = 0; i < a->axes; i++) {
        const size *axis = r + BOX_AXIS + 3 * i;
        size count = axis[0], in_step = axis[a->adjoint ? 2 : 1], out_step = axis[a->adjoint ? 1 : 2];
        if (count == 0) return 0;
        if (count == 1) continue;
        if (out_step < 0) {
            b->in += (count - 1) * in_step, b->out += (count - 1) * out_step;
            in_step = -in_step, out_step = -out_step;
        }
        int at = b->axes++;
        for (; at > 0 && b->out_step[at - 1] < out_step; at--)
            box_put(b, at, b->count[at - 1], b->in_step[at - 1], b->out_step[at - 1]);
        box_put(b, at, count, in_step, out_step);
    }
    return 1;
}

/* Whether the box has an outermost axis of whole slices, or lies in one slice and gets such an axis of length 1. */
static int box_slice(box *b, size slice, size F) {
    int outer = b->axes && b->out_step[0] == slice;
    size last = b->out;
    for (int i = outer; i < b->axes; i++) last += (b->count[i] - 1) * b->out_step[i];
    b->slice = b->out / slice;
    if (last / slice != b->slice) return 0;
    if (outer) return b->slice + b->count[0] <= ceil_div(F, slice);
    for (int i = b->axes++; i > 0; i--) box_put(b, i, b->count[i - 1], b->in_step[i - 1], b->out_step[i - 1]);
    box_put(b, 0, 1, 0, slice);
    return 1;
}

/* Read the table into `room`, which has place for all of its rows. */
static boxes_job boxes_plan(const boxes_args *a, box *room, size width) {
    boxes_job job = {.args = a, .box = room, .slice = 0};
    size given = 0;
    for (size i = 0; i < a->boxes; i++) {
        box *b = room + job.boxes;
        if (!box_read(a, i, b)) continue;
        size count = 1;
        for (int k = 0; k < b->axes; k++) count *= b->count[k];
        given += count;
        if (b->axes) job.slice = larger(job.slice, b->out_step[0]);
        job.boxes++;
    }
    job.slice = larger(job.slice, 1);
    size ready = 0;
    while (ready < job.boxes && box_slice(room + ready, job.slice, a->F)) ready++;
    if (ready < job.boxes) { /* one slice for all */
        for (size i = 0; i < job.boxes; i++) {
            box *b = room + i;
            if (i < ready && b->count[0] == 1 && b->out_step[0] == job.slice) b->out_step[0] = a->F, b->slice = 0;
            else box_slice(b, a->F, a->F);
        }
        job.slice = a->F;
    }
    job.slices = ceil_div(a->F, job.slice);
    job.some = larger(1, BOX_TASK / width / job.slice);
    job.clear = a->adjoint || given < a->F;
    return job;
}

/* Neighbouring axes that one axis can replace become one. */
INLINE void box_merge(box *b) {
    int kept = 0;
    for (int i = 0; i < b->axes; i++) {
        if (b->count[i] == 1) continue;
        int last = kept - 1;
        if (kept && b->in_step[last] == b->in_step[i] * b->count[i] &&
            b->out_step[last] == b->out_step[i] * b->count[i])
            box_put(b, last, b->count[last] * b->count[i], b->in_step[i], b->out_step[i]);
        else box_put(b, kept++, b->count[i], b->in_step[i], b->out_step[i]);
    }
    if (!kept) box_put(b, kept++, 1, 0, 0);
    b->axes = kept;
}

/* Call `run` for each line along the innermost axis. */
INLINE void box_walk(const box *b, const T *x, T *y, size width, box_run run) {
    size at[BOX_AXES + 1] = {0}, in = b->in, out = b->out;
    int inner = b->axes - 1, i;
    do {
        run(x + in * width, b->in_step[inner], y + out * width, b->out_step[inner], b->count[inner]);
        for (i = inner - 1; i >= 0; i--) {
            in += b->in_step[i], out += b->out_step[i];
            if (++at[i] < b->count[i]) break;
            in -= b->count[i] * b->in_step[i], out -= b->count[i] * b->out_step[i], at[i] = 0;
        }
    } while (i >= 0);
}

/* The part of every box that lies in slices [from, to) of block `block`. */
INLINE void boxes_of_slices(const boxes_job *job, size block, size from, size to, size width, box_run run) {
    const boxes_args *a = job->args;
    for (size i = 0; i < job->boxes; i++) {
        box b = job->box[i];
        size first = larger(from - b.slice, 0), behind = smaller(to - b.slice, b.count[0]);
        if (first >= behind) continue;
        b.in += first * b.in_step[0], b.out += first * b.out_step[0], b.count[0] = behind - first;
        box_merge(&b);
        const T *x = (const T *)a->x[b.source] + block * a->x_F[b.source] * width;
        box_walk(&b, x, (T *)a->y + block * a->F * width, width, run);
    }
}

/* Run `task` for all slices of all blocks; plan and tasks follow from the sizes. */
static int boxes_run(const boxes_args *a, pool_task task, size blocks, size width) {
    box *room = pool_scratch(SCRATCH_CALL, (size_t)larger(a->boxes, 1) * sizeof(box));
    if (!room) return -1;
    boxes_job job = boxes_plan(a, room, width);
    return pool_run(task, &job, blocks * ceil_div(job.slices, job.some), blocks * a->F * width > L * PARALLEL_FROM);
}

#endif
