/* Taps: what each row or column of a resized image is mixed from, y[i] = sum of weight x[index]. A weight of 0 is left
   out, whatever it reads. The way back has the taps of each place of x, in the order of y. */
#ifndef MINIDL_CORE_TAPS_H
#define MINIDL_CORE_TAPS_H

#include <string.h>

#include "kernels.h"
#include "pool.h"
#include "sizes.h"
#include "vector.h"

/* Place i of the result has the taps from[i] .. from[i + 1] - 1. */
typedef struct {
    size *from, *index;
    T *weight;
} taps;

/* A resize of n C planes of H x W into planes of OH x OW. */
typedef struct {
    const T *x;
    T *y;
    size planes, H, W, OH, OW;
    taps rows, columns;
} resize_job;

/* Taps of `out` places, K each in the table; or of the `size` places that these read. */
static void read_taps(taps *t, const size *index, const void *weight, size out, size K, size places, int back) {
    const T *share = weight;
    size kept = 0;
    if (!back) {
        for (size i = 0; i < out; i++) {
            t->from[i] = kept;
            for (size k = i * K; k < (i + 1) * K; k++)
                if (share[k] != 0) t->index[kept] = index[k], t->weight[kept++] = share[k];
        }
        t->from[out] = kept;
        return;
    }
    memset(t->from, 0, (size_t)(places + 1) * sizeof(size));
    for (size k = 0; k < out * K; k++)
        if (share[k] != 0) t->from[index[k]]++;
    for (size i = 0; i < places; i++) kept += t->from[i], t->from[i] = kept;
    t->from[places] = kept;
    for (size k = out * K; k-- > 0;) /* from behind, so that each part's beginning is left in `from` */
        if (share[k] != 0) {
            size at = --t->from[index[k]];
            t->index[at] = k / K, t->weight[at] = share[k];
        }
}

static void place_taps(taps *t, char **room, size places, size count) {
    t->from = (size *)*room, t->index = t->from + places + 1;
    t->weight = (T *)(t->index + count);
    *room += ((size_t)(places + 1 + count) * sizeof(size) + (size_t)count * sizeof(T) + 63) / 64 * 64;
}

/* Make a job ready, forward or back; -1 without memory. */
static int resize_prepare(const resize_args *a, size blocks, int back, resize_job *job) {
    size rows = a->OH * a->KH, columns = a->OW * a->KW, places = larger(a->H, a->OH) + larger(a->W, a->OW);
    size_t bytes = (size_t)(places + 2 + rows + columns) * sizeof(size) + (size_t)(rows + columns) * sizeof(T) + 128;
    char *room = pool_scratch(SCRATCH_CALL, bytes);
    if (!room) return -1;
    *job = (resize_job){.x = a->x, .y = a->y, .planes = blocks * a->C, .H = a->H, .W = a->W, .OH = a->OH, .OW = a->OW};
    if (back) job->H = a->OH, job->W = a->OW, job->OH = a->H, job->OW = a->W;
    place_taps(&job->rows, &room, job->OH, rows);
    place_taps(&job->columns, &room, job->OW, columns);
    read_taps(&job->rows, a->rows, a->row_weight, a->OH, a->KH, a->H, back);
    read_taps(&job->columns, a->columns, a->column_weight, a->OW, a->KW, a->W, back);
    return 0;
}

/* Row `row` of the result out of rows of `count` elements: in place where it is one of them, else made in `out`. */
INLINE const T *mixed_row(const taps *t, size row, const T *x, T *out, size count) {
    size k = t->from[row], end = t->from[row + 1];
    if (end - k == 1 && t->weight[k] == 1) return x + t->index[k] * count;
    memset(out, 0, (size_t)count * sizeof(T));
    for (; k < end; k++) {
        const T *from = x + t->index[k] * count, weight = t->weight[k];
        for (size i = 0; i < count; i++) out[i] += weight * from[i];
    }
    return out;
}

/* Below this many vector operations one thread does it all. */
INLINE int resize_parallel(const resize_job *job, size vectors) {
    size rows = job->rows.from[job->OH] * job->W, columns = job->columns.from[job->OW] * job->OH;
    return job->planes * (rows + columns) / vectors > PARALLEL_FROM;
}

#endif
