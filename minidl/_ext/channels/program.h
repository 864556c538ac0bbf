/* One call runs the steps of a compiled prediction, or those of one way through a network in training. */
#ifndef MINIDL_CHANNELS_PROGRAM_H
#define MINIDL_CHANNELS_PROGRAM_H

#include "capsule.h"
#include "conv.h"
#include "depthwise.h"
#include "dropout.h"
#include "group_norm.h"
#include "grouped.h"
#include "joined.h"
#include "local_response.h"
#include "moves.h"
#include "norm.h"
#include "pointwise.h"
#include "pooling.h"
#include "routing.h"
#include "weights.h"
#include "winograd.h"

/* A bias with zeros behind it. */
static void pack_step_bias(const program_step *step) {
    clear(step->b, map_blocks(&step->y) * L);
    if (step->bias) memcpy(step->b, step->bias, (size_t)step->y.C * sizeof(T));
}

static void pack_step_weights(const program_step *step) {
    size blocks = map_blocks(&step->y), parts = blocks;
    pool_task pack = pack_depthwise_task;
    if (step->kind == STEP_WINOGRAD) pack = pack_winograd_task;
    if (step->kind == STEP_GROUPED) pack = pack_grouped_task;
    if (step->kind == STEP_CONV) pack = pack_conv_task, parts = ceil_div(blocks, step->M);
    pool_run(pack, (void *)step, parts, 1);
}

/* What a step reads of its parameters. */
static void program_pack(const program_step *step) {
    if (step->kind == STEP_ROUTING) {
        pool_run(pack_routing_task, (void *)step, map_blocks(&step->x), 1);
        return;
    }
    pack_step_weights(step);
    pack_step_bias(step);
}

static int run_step(step_job *job) {
    if (job->step->fresh) {
        if (!packs_in_tasks(job)) pack_step_weights(job->step);
        pack_step_bias(job->step);
    }
    switch (job->step->kind) {
    case STEP_ENTER: return moves_step(job, enter_map_task);
    case STEP_LEAVE: return leave_step(job);
    case STEP_CONV: return conv_step(job);
    case STEP_WINOGRAD: return winograd_step(job);
    case STEP_DEPTHWISE: return depthwise_step(job);
    case STEP_GROUPED: return grouped_step(job);
    case STEP_MAXPOOL: return pooling_step(job, maxpool_task);
    case STEP_AVGPOOL: return pooling_step(job, avgpool_task);
    case STEP_ELEMENT: return pointwise_step(job, element_step_task);
    case STEP_ARITHMETIC: return pointwise_step(job, arithmetic_task);
    case STEP_CHANNELS: return moves_step(job, channels_task);
    case STEP_CLEAR: return moves_step(job, clear_task);
    case STEP_CONV_WEIGHTS:
    case STEP_DEPTHWISE_WEIGHTS: return weights_step(job);
    case STEP_NORM: return norm_step(job, norm_part_task, norm_join_task, NULL, norm_apply_task);
    case STEP_NORM_BACKWARD: return norm_step(job, norm_part_back_task, norm_join_back_task, NULL, norm_back_task);
    case STEP_GROUP_NORM: return norm_step(job, norm_part_task, group_norm_join_task, NULL, norm_apply_task);
    case STEP_GROUP_NORM_BACKWARD:
        return norm_step(job, norm_part_back_task, group_norm_join_back_task, group_norm_parameters_task,
                         norm_back_task);
    case STEP_MAXPOOL_BACKWARD: return maxpool_back_step(job);
    case STEP_AVGPOOL_BACKWARD: return pooling_step(job, avgpool_back_task);
    case STEP_MUL_BACKWARD: return mul_back_step(job);
    case STEP_DROPOUT: return pointwise_step(job, dropout_map_task);
    case STEP_LOCAL_RESPONSE:
    case STEP_LOCAL_RESPONSE_BACKWARD: return response_step(job);
    case STEP_SQUASH:
    case STEP_SQUASH_BACKWARD: return squash_map_step(job);
    case STEP_ROUTING: return routing_step(job);
    case STEP_ROUTING_BACKWARD: return routing_back_step(job);
    case STEP_LENGTHS:
    case STEP_LENGTHS_BACKWARD: return lengths_step(job);
    case STEP_ELEMENT_BACKWARD: return pointwise_step(job, slope_task);
    }
    return 0;
}

/* The steps for `n` images from `first` on, in the places of the arena from `place` on. */
static int run_images(const program_args *a, size first, size n, size place, size threads) {
    static const size bytes[3] = {1, sizeof(float), sizeof(double)};
    for (size i = 0; i < a->steps; i++) {
        const program_step *step = a->step + i;
        const map *x = &step->x, *y = &step->y;
        T *arena = (T *)a->arena + place * a->elements;
        step_job job = {.step = step, .arena = arena, .n = n, .images = n, .threads = threads};
        if (step->kind == STEP_ENTER)
            job.in = (const char *)a->in[step->port] + first * y->C * y->H * y->W * bytes[step->number];
        if (step->kind == STEP_LEAVE) job.out = (T *)a->out[step->port] + first * x->C * x->H * x->W;
        if (step->joined ? joined_step(&job) : run_step(&job)) return -1;
        i += step->joined; /* the next ones have run with it */
    }
    return 0;
}

/* The images [first, end), `at_once` at a time. */
static int run_in_turn(const program_args *a, size first, size end, size at_once, size place, size threads) {
    for (; first < end; first += at_once)
        if (run_images(a, first, smaller(at_once, end - first), place, threads)) return -1;
    return 0;
}

static int apart_task(void *context, ptrdiff_t task) {
    const program_args *a = context;
    size each = a->n / a->threads;
    return run_in_turn(a, task * each, (task + 1) * each, a->at_once, task * a->at_once, 1);
}

/* Where images may go apart each thread takes as many, through all steps: none waits for another, and what a thread
   has made lies in its own cache. The images that are left, or all, are taken by all threads together. */
static int program_run(const program_args *a) {
    size apart = a->apart && a->threads > 1 ? a->n / a->threads * a->threads : 0;
    if (apart && pool_run(apart_task, (void *)a, a->threads, 1)) return -1;
    return run_in_turn(a, apart, a->n, a->at_once * a->threads, 0, a->threads);
}

#endif
