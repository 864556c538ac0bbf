/* A sweep that leaves out the products with padding: outputs that see the same taps of the window go together. */
#ifndef MINIDL_LANES_CONV_WINDOW_H
#define MINIDL_LANES_CONV_WINDOW_H

#include "../../core/vector.h"
#include "../sweep.h"

/* Along one axis: tap k of output o meets pixel o * step + place[k] of `length`; places rise. */
typedef struct {
    size step, taps, length;
    const size *place;
} window_axis;

/* Outputs [from, to) see the taps [first, last), and all others lie in the padding. */
typedef struct {
    size from, to, first, last;
} window_span;

/* The longest span that starts at `from`. */
static window_span window_next(const window_axis *v, size from, size end) {
    window_span s = {from, from, 0, v->taps};
    while (s.first < s.last && from * v->step + v->place[s.first] < 0) s.first++;
    while (s.first < s.last && from * v->step + v->place[s.last - 1] >= v->length) s.last--;
    while (++s.to < end) {
        size at = s.to * v->step;
        if (s.first > 0 && at + v->place[s.first - 1] >= 0) break;
        if (s.first < s.last && at + v->place[s.last - 1] >= v->length) break;
    }
    return s;
}

/* Columns are told apart only where a tap's row has so many terms that the smaller tiles at the edges pay, and not for
   so few channels that these would wait for their own sums. */
enum { WINDOW_TERMS = 16, WINDOW_M = 3 };

/* One channel to one channel is read where it stands, and padding does not stand there. */
INLINE int window_in_place(size R, size M, size dilation_w) { return R == 1 && M == 1 && dilation_w == 1; }

/* Rows [r0, r1) and columns [c0, c1) of outputs, `in` and `out` at the first. The plan's walk has one run for each row
   of taps or, where taps do not stand side by side, for each tap; R vectors of the input stand behind one another at a
   tap. */
static void sweep_window(const sweep_plan *whole, const window_axis *high, const window_axis *wide, size R, size r0,
                         size r1, size c0, size c1, const T *in, T *out) {
    int joined = whole->walk.runs == high->taps;
    int parts = joined && (window_in_place(R, whole->M, 1) || (wide->taps * R >= WINDOW_TERMS && whole->M >= WINDOW_M));
    size runs = joined ? 1 : wide->taps;
    for (size r = r0; r < r1;) {
        window_span h = window_next(high, r, r1);
        for (size c = c0; c < c1;) {
            window_span w = parts ? window_next(wide, c, c1) : (window_span){c0, c1, 0, wide->taps};
            sweep_plan plan = *whole;
            plan.rows = h.to - r;
            plan.columns = w.to - c;
            plan.first = (h.first * wide->taps + w.first) * R;
            plan.walk.offset += h.first * runs;
            plan.walk.runs = (h.last - h.first) * runs;
            if (joined) plan.walk.run = plan.walk.last_run = (w.last - w.first) * R;
            sweep(&plan, in + (r - r0) * plan.in_row + (c - c0) * plan.in_column + w.first * R * L,
                  out + (r - r0) * plan.out_row + (c - c0) * plan.out_column, NULL);
            c = w.to;
        }
        r = h.to;
    }
}

#endif
