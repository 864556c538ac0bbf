/* Normalisation of an image's groups of channels, both ways, in training: the sums of parts that norm.h takes, joined
   by image and not by channel. Its numbers stand in the arena, STATISTICS vectors for each block of an image's
   channels. Twin: minidl/kernels/reference/row_norm.py. */
#ifndef MINIDL_CHANNELS_GROUP_NORM_H
#define MINIDL_CHANNELS_GROUP_NORM_H

#include "norm.h"

INLINE T *group_number(const step_job *job, size image, size c) {
    return (T *)group_numbers(job, image, c / L) + c % L;
}

/* The sums of an image's channel, after those of its parts have been joined into the first. */
INLINE wide_sum *group_sums(const norm_job *norm, size image, size c) {
    return norm_sums(norm, image * norm->bands, c / L);
}

/* Mean and inv_std of an image's groups: its channels have as many pixels each. */
static int group_norm_join_task(void *context, ptrdiff_t image) {
    const norm_job *norm = context;
    const step_job *job = norm->job;
    const program_step *step = job->step;
    size first = image * norm->bands, each = step->x.C / step->g.G;
    double area = (double)(step->x.H * step->x.W);
    for (size block = 0; block < norm->blocks; block++) {
        wide_sum mean, squares, *joined = norm_sums(norm, first, block);
        norm_merged(norm, first, first + norm->bands, block, &mean, &squares);
        joined[0] = mean, joined[1] = squares;
        clear((T *)group_numbers(job, image, block), STATISTICS * L);
    }
    for (size low = 0; low < step->x.C; low += each) {
        double middle = 0, var = 0;
        for (size c = low; c < low + each; c++) middle += group_sums(norm, image, c)[0].lane[c % L];
        middle /= (double)each;
        for (size c = low; c < low + each; c++) {
            const wide_sum *own = group_sums(norm, image, c);
            double far = own[0].lane[c % L] - middle;
            var += own[1].lane[c % L] / area + far * far;
        }
        T inv_std = (T)(1 / sqrt(var / (double)each + step->eps));
        for (size c = low; c < low + each; c++) {
            T *to = group_number(job, image, c);
            to[0] = (T)middle;
            to[L] = inv_std;
            to[2 * L] = step->gamma ? ((const T *)step->gamma)[c] : 1;
            to[3 * L] = step->beta ? ((const T *)step->beta)[c] : 0;
        }
    }
    return 0;
}

/* The means of g = dy gamma and of g (x - mean) of an image's groups. */
static int group_norm_join_back_task(void *context, ptrdiff_t image) {
    const norm_job *norm = context;
    const step_job *job = norm->job;
    const program_step *step = job->step;
    size first = image * norm->bands, each = step->x.C / step->g.G;
    double count = (double)(each * step->x.H * step->x.W);
    for (size block = 0; block < norm->blocks; block++) {
        wide_sum sum, product, *joined = norm_sums(norm, first, block);
        norm_added(norm, first, first + norm->bands, block, &sum, &product);
        joined[0] = sum, joined[1] = product;
    }
    for (size low = 0; low < step->x.C; low += each) {
        double g = 0, slope = 0, inv_std = (double)group_number(job, image, low)[L];
        for (size c = low; c < low + each; c++) {
            const wide_sum *own = group_sums(norm, image, c);
            double gamma = (double)group_number(job, image, c)[2 * L];
            g += own[0].lane[c % L] * gamma;
            slope += own[1].lane[c % L] * gamma;
        }
        for (size c = low; c < low + each; c++) {
            T *to = group_number(job, image, c);
            to[4 * L] = (T)(g / count);
            to[5 * L] = (T)(slope * inv_std * inv_std / count);
        }
    }
    return 0;
}

/* dgamma and dbeta of a block's channels, image after image. */
static int group_norm_parameters_task(void *context, ptrdiff_t block) {
    const norm_job *norm = context;
    const program_step *step = norm->job->step;
    wide_sum dgamma = {{{0}}}, dbeta = {{{0}}};
    for (size image = 0; image < norm->job->n; image++) {
        const wide_sum *sums = norm_sums(norm, image * norm->bands, block);
        wide_sum inv_std = widened(load(group_numbers(norm->job, image, block) + L));
        UNROLL for (int i = 0; i < WIDE; i++) {
            dbeta.part[i] += sums[0].part[i];
            dgamma.part[i] += sums[1].part[i] * inv_std.part[i];
        }
    }
    for (size c = block * L; c < smaller(step->x.C, block * L + L); c++) {
        if (step->dw) ((T *)step->dw)[c] = (T)dgamma.lane[c % L];
        if (step->db) ((T *)step->db)[c] = (T)dbeta.lane[c % L];
    }
    return 0;
}

#endif
