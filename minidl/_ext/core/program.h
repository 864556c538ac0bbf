/* The interface of compiled predictions and training steps: a list of steps over maps that all stand in one arena.

   A map has channels in lanes: (n, blocks, rows, columns, lanes), L channels of a pixel side by side, with zeros in the
   channels that are missing. Around each block's image stands a halo of zeros, as wide as its readers' padding; the
   step that makes the map writes it, too. The first map may have as many lanes as channels. */
#ifndef MINIDL_CORE_PROGRAM_H
#define MINIDL_CORE_PROGRAM_H

#include "kernels.h"

/* at: the element of the arena where the first pixel of its first image stands; step, pitch, plane, image: elements
   from a pixel, a row, a block, an image to the next. step is `lanes` but for every s-th pixel of a map. */
typedef struct {
    size at, C, lanes, H, W, top, bottom, left, right, step, pitch, plane, image;
} map;

/* Where a weight of output channel o, input channel c of its group, row i and column j of the kernel stands: at
   + o / O group + o % O out + c in + i row + j column, O output channels a group. */
typedef struct {
    size at, group, out, in, row, column;
} weight_order;

/* Channels of x that some outputs read. */
typedef struct {
    size first, count;
} channel_range;

typedef enum {
    STEP_ENTER,
    STEP_LEAVE,
    STEP_CONV,
    STEP_WINOGRAD,
    STEP_DEPTHWISE,
    STEP_GROUPED,
    STEP_MAXPOOL,
    STEP_AVGPOOL,
    STEP_ELEMENT,
    STEP_ARITHMETIC,
    STEP_CHANNELS,
    STEP_CLEAR,
    STEP_CONV_WEIGHTS,
    STEP_DEPTHWISE_WEIGHTS,
    STEP_NORM,
    STEP_NORM_BACKWARD,
    STEP_MAXPOOL_BACKWARD,
    STEP_AVGPOOL_BACKWARD,
    STEP_ELEMENT_BACKWARD,
    STEP_MUL_BACKWARD,
    STEP_DROPOUT,
    STEP_GROUP_NORM,
    STEP_GROUP_NORM_BACKWARD,
    STEP_LOCAL_RESPONSE,
    STEP_LOCAL_RESPONSE_BACKWARD,
    STEP_SQUASH,
    STEP_SQUASH_BACKWARD,
    STEP_ROUTING,
    STEP_ROUTING_BACKWARD,
    STEP_LENGTHS,
    STEP_LENGTHS_BACKWARD
} step_kind;

/* Of a group normalisation, a vector each: mean, inv_std, gamma, beta; on the way back the last two of norm_numbers. */
enum { STATISTICS = 6 };

/* Capsules below whose votes are summed by themselves, about. */
enum { ROUTING_PART = 80 };

/* ENTER, LEAVE   port: which array comes in or goes out, (n, C, H, W); kind of its elements as gather has them
   CONV           y = f(conv(x) + b + other): weights packed by `pack`, M vectors of outputs together, each of these
                  reading the channels reads[its number] of x, at most `most`, which lie in at most `depth`
                  blocks; other: if add
   WINOGRAD       as CONV, by tiles of rows x columns outputs
   DEPTHWISE      each channel with its own kernel
   GROUPED        as CONV, in groups of 2, 4 or 8 channels, fewer than lanes, that make as many
   ELEMENT        y = f(x)
   ARITHMETIC     y = f(x which other), each of one size or with 1 x 1 pixels
   CHANNELS       channel to + i of y is channel from[i] of x, `count` of them; added to what is there: if add
   CLEAR          y = 0
   CONV_WEIGHTS   dw and db (or NULL) of the convolution of x with gradient dy; by_images: of a linear layer; of no
                  channels of x: db alone
   DEPTHWISE_WEIGHTS   as CONV_WEIGHTS
   NORM           batch normalisation in training, its norm_mean and inv_std kept: y = f(x gamma scaled + beta + other)
   NORM_BACKWARD  dx, if it has channels, dw of gamma, db of beta; dy counts where y > 0: if relu; dother, too: if add
   MAXPOOL_BACKWARD, AVGPOOL_BACKWARD    dx
   ELEMENT_BACKWARD   dx; y is the forward's x where element_slope reads that
   MUL_BACKWARD   dx and dother of y = x other, other as large as x or of one pixel
   DROPOUT        y = x / (1 - p) where *key keeps a value, else 0; both ways; added to what is there: if add
   GROUP_NORM     as NORM of g.G groups of an image's channels; gamma and beta may be NULL, for 1 and 0; `statistics`
                  has STATISTICS pixels an image
   GROUP_NORM_BACKWARD   as NORM_BACKWARD
   LOCAL_RESPONSE y = x (eps + p times the squares of x from `before` channels before to `behind` behind)^-q
   LOCAL_RESPONSE_BACKWARD   dx
   SQUASH         capsules y (types H W, 1, D) of x (types D, H, W), squashed
   SQUASH_BACKWARD   dx, of x and dy
   ROUTING        capsules y of capsules x by `weights` (I, J, E, D), in `count` passes; votes, sums and couplings are
                  what it keeps; w: the weights packed, or NULL where each run packs them
   ROUTING_BACKWARD   dx, if it has channels, dw or NULL
   LENGTHS        y (J, 1, 1), lengths of capsules x (J, 1, E)
   LENGTHS_BACKWARD   dx, of x, y and dy
   add_dx, add_dother: what is there already is added to.
   f: relu, then the function `which` where `acts`.
   fresh: w and b are packed at each run, from weights and bias.
   joined: how many steps run with this one, each of which alone reads the y before: 1, DEPTHWISE and CONV of 1 x 1
   behind it; 2, a CONV and those two. */
typedef struct program_step {
    step_kind kind;
    map x, other, y, dy, dx, dother, statistics, votes, sums, couplings;
    geometry g;
    pool_mean mean;
    weight_order order;
    const void *weights, *bias, *scale, *shift, *gamma, *beta;
    void *w, *b, *dw, *db, *norm_mean, *inv_std, *running_mean, *running_var;
    const channel_range *reads;
    const size *from;
    size M, depth, most, rows, columns, port, to, count, before, behind;
    int number, add, relu, acts, by_images, fresh, joined, add_dx, add_dother;
    element which;
    arithmetic sign;
    uint64_t *key;
    double p, q, momentum, eps;
} program_step;

/* elements: of the arena, an image; it has places for at_once images of each thread. apart: whether no step needs
   several images. */
typedef struct program_args {
    const program_step *step;
    size steps, n, elements, at_once, threads;
    int apart;
    void *arena;
    const void *const *in;
    void *const *out;
} program_args;

#endif
