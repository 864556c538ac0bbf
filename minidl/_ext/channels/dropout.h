/* Dropout: a value's place in (n, C, H, W) decides, as in lanes/dropout.h, so that both layouts have the same masks. */
#ifndef MINIDL_CHANNELS_DROPOUT_H
#define MINIDL_CHANNELS_DROPOUT_H

#include "../core/counter_random.h"
#include "map.h"

/* y of x, or dx of dy. */
static int dropout_map_task(void *context, ptrdiff_t task) {
    const step_job *job = context;
    const program_step *step = job->step;
    const map *x = &step->x, *y = &step->y;
    step_part part = part_of(job, task);
    uint64_t threshold = keep_threshold(step->p), key[L];
    T factor = (T)(1 / (1 - step->p));
    int add = step->add;
    /* Channels are so many numbers of the generator apart. */
    UNROLL for (int l = 0; l < L; l++) key[l] = *step->key + (uint64_t)(l * y->H * y->W) * 0x9E3779B97F4A7C15u;
    for (size row = part.r0; row < part.r1; row++) {
        const T *from = map_at(x, job->arena, part.image, part.group, row, 0);
        T *to = map_at(y, job->arena, part.image, part.group, row, 0);
        uint64_t first = (uint64_t)(((part.image * y->C + part.group * L) * y->H + row) * y->W);
        for (size w = 0; w < y->W; w++) {
            for (size l = 0; l < L; l++) {
                T value = mix(key[l], first + (uint64_t)w) >> 32 >= threshold ? from[w * L + l] * factor : 0;
                to[w * L + l] = add ? to[w * L + l] + value : value;
            }
        }
    }
    if (!add) clear_halo(y, job->arena, part.image, part.group, part.r0, part.r1);
    return 0;
}

#endif
