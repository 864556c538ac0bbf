/* The interface of compiled predictions: a list of steps over maps that all stand in one arena.

   A map has channels in lanes: (n, blocks, rows, columns, lanes), L channels of a pixel side by side, with zeros in the
   channels that are missing. Around each block's image stands a halo of zeros, as wide as its readers' padding; the
   step that makes the map writes it, too. The first map may have as many lanes as channels. */
#ifndef MINIDL_CORE_PROGRAM_H
#define MINIDL_CORE_PROGRAM_H

#include "kernels.h"

/* at: the element of the arena where the first pixel of its first image stands; pitch, plane, image: elements from a
   row, a block, an image to the next. */
typedef struct {
    size at, C, lanes, H, W, top, bottom, left, right, pitch, plane, image;
} map;

typedef enum {
    STEP_ENTER,
    STEP_LEAVE,
    STEP_CONV,
    STEP_WINOGRAD,
    STEP_DEPTHWISE,
    STEP_MAXPOOL,
    STEP_AVGPOOL,
    STEP_ELEMENT,
    STEP_ARITHMETIC,
    STEP_CHANNELS
} step_kind;

/* ENTER, LEAVE   port: which array comes in or goes out, (n, C, H, W); kind of its elements as gather has them
   CONV           y = f(conv(x) + b + other): weights packed by `pack`, M vectors of outputs together, each of these
                  reading `depth` blocks of x from first[its number] on; other: if add
   WINOGRAD       as CONV, by tiles of rows x columns outputs
   DEPTHWISE      each channel with its own kernel
   ELEMENT        y = f(x)
   ARITHMETIC     y = f(x which other), each of one size or with 1 x 1 pixels
   CHANNELS       channel to + i of y is channel from[i] of x, `count` of them
   f: relu, then the function `which` where `acts`. */
typedef struct {
    step_kind kind;
    map x, other, y;
    geometry g;
    pool_mean mean;
    const void *w, *b, *scale, *shift;
    const size *first, *from;
    size M, depth, rows, columns, port, to, count;
    int number, add, relu, acts, by_images;
    element which;
    arithmetic sign;
    double p, q;
} program_step;

typedef struct program_args {
    const program_step *step;
    size steps, n;
    void *arena;
    const void *const *in;
    void *const *out;
} program_args;

/* The weights w (O, C / groups, KH, KW), times scale[o], into the order in which a step reads them: see
   channels/conv.h. */
typedef struct pack_args {
    const program_step *step;
    const void *w, *scale;
    void *packed;
} pack_args;

#endif
