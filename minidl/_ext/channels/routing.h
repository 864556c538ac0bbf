/* Routing by agreement with capsules in lanes, both ways: from I capsules u of D values, map x, to J capsules v of E
   values, map y.

   Votes are W u, a lane for each capsule below: map (I, J, E). They are made once and kept, as they are fewer than
   weights by D. `couplings` (I, 2 R, J) has a row for each pass and behind these one for the gradients of its logits;
   `sums` (J, ..., E) has rows for the capsules above, which routing_row names. Sums over the capsules below are taken
   of parts of about ROUTING_PART and these joined in order: neither threads nor other images change a bit. Twin:
   minidl/kernels/reference/capsule.py. */
#ifndef MINIDL_CHANNELS_ROUTING_H
#define MINIDL_CHANNELS_ROUTING_H

#include <math.h>

#include "capsule.h"

enum { VALUES_AT_ONCE = 8 };

/* Rows of `sums`, for pass r: the sum before it is squashed; v of all passes up to it; the gradient of the sum. Behind
   those of all passes the gradient of v, then a row for each part. */
typedef enum { SUM_ROW, AGREED_ROW, SLOPE_ROW, GRADIENT_ROW } routing_row;

INLINE T *sums_at(const step_job *job, size image, size block, routing_row row, size r) {
    return lanes_at(job, &job->step->sums, image, block, (size)row * job->step->count + r);
}

/* ---- weights ---- */

/* L numbers, or those before `end`. */
INLINE V load_before(const T *from, const T *end) {
    V v = {0};
    if (from + L <= end) return loadu(from);
    memcpy(&v, from, (size_t)(end - from) * sizeof(T));
    return v;
}

/* The weights of L capsules below for capsule j above, E D vectors; back: into dw from there. */
static void turn_weights(const program_step *step, size block, size j, T *vectors, int back) {
    size I = step->x.C, all = step->y.W * step->x.W, apart = step->y.C * all, there = smaller(L, I - block * L);
    T *w = (T *)(back ? step->dw : (void *)step->weights), *end = w + I * apart;
    w += block * L * apart + j * all;
    for (size at = 0; at < all; at += L) {
        size count = smaller(L, all - at);
        V square[L];
        UNROLL for (int k = 0; k < L; k++) {
            if (back) square[k] = k < count ? load(vectors + (at + k) * L) : (V){0};
            else square[k] = k < there ? load_before(w + k * apart + at, end) : (V){0};
        }
        transpose(square);
        UNROLL for (int k = 0; k < L; k++) {
            if (!back && k < count) store(vectors + (at + k) * L, square[k]);
            if (back && k < there && count == L) storeu(w + k * apart + at, square[k]);
            else if (back && k < there) memcpy(w + k * apart + at, &square[k], (size_t)count * sizeof(T));
        }
    }
}

static int pack_routing_task(void *context, ptrdiff_t block) {
    const program_step *step = context;
    size J = step->y.C, each = step->y.W * step->x.W * L;
    for (size j = 0; j < J; j++) turn_weights(step, block, j, (T *)step->w + (block * J + j) * each, 0);
    return 0;
}

/* M sums of `terms` products: number k of sum m multiplies vector k of b with vector k across + m down of a. */
INLINE void product_tile(const int M, size terms, const T *a, size across, size down, const T *b, T *sums, int add) {
    V sum[VALUES_AT_ONCE];
    UNROLL for (int m = 0; m < M; m++) sum[m] = add ? load(sums + m * L) : (V){0};
    for (size k = 0; k < terms; k++) {
        V value = load(b + k * L);
        UNROLL for (int m = 0; m < M; m++) sum[m] += load(a + (k * across + m * down) * L) * value;
    }
    UNROLL for (int m = 0; m < M; m++) store(sums + m * L, sum[m]);
}

static void products(size count, size terms, const T *a, size across, size down, const T *b, T *sums, int add) {
    size m = 0;
    for (; m + VALUES_AT_ONCE <= count; m += VALUES_AT_ONCE)
        product_tile(VALUES_AT_ONCE, terms, a + m * down * L, across, down, b, sums + m * L, add);
    for (; m < count; m++) product_tile(1, terms, a + m * down * L, across, down, b, sums + m * L, add);
}

/* Votes of L capsules below, of all images. */
static int votes_task(void *context, ptrdiff_t block) {
    const step_job *job = context;
    const program_step *step = job->step;
    size D = step->x.W, E = step->y.W, J = step->y.C;
    T *turned = step->w ? NULL : pool_scratch(SCRATCH_TASK, (size_t)(E * D) * VBYTES);
    if (!step->w && !turned) return -1;
    for (size j = 0; j < J; j++) {
        const T *w = turned ? turned : (const T *)step->w + (block * J + j) * E * D * L;
        if (turned) turn_weights(step, block, j, turned, 0);
        for (size image = 0; image < job->n; image++)
            products(E, D, w, 1, D, lanes_at(job, &step->x, image, block, 0),
                     lanes_at(job, &step->votes, image, block, j), 0);
    }
    return 0;
}

/* ---- passes ---- */

typedef struct {
    const step_job *job;
    size r, parts;
} routing_pass;

/* Of L capsules below the products of votes and values of the capsules above, one row of `sums`. */
static void agreements(const step_job *job, size image, size block, routing_row row, size r, T *out) {
    const program_step *step = job->step;
    size J = step->y.C, E = step->y.W;
    for (size j = 0; j < J; j++) {
        const T *vote = lanes_at(job, &step->votes, image, block, j);
        const T *value = sums_at(job, image, j / L, row, r) + j % L;
        V sum = {0};
        for (size e = 0; e < E; e++) sum += load(vote + e * L) * value[e * L];
        store(out + j * L, sum);
    }
}

/* c = softmax of the logits over the capsules above. */
static void couple_block(const step_job *job, size image, size block, size r) {
    const program_step *step = job->step;
    size J = step->y.C;
    T *c = lanes_at(job, &step->couplings, image, block, r);
    V top = splat((T)-HUGE_VAL), sum = {0};
    agreements(job, image, block, AGREED_ROW, r - 1, c);
    for (size j = 0; j < J; j++) top = choose(load(c + j * L) < top, top, load(c + j * L));
    for (size j = 0; j < J; j++) {
        V e = exp_series(load(c + j * L) - top, 1);
        sum += e;
        store(c + j * L, e);
    }
    V factor = 1 / sum;
    VI mask = lanes_of(&step->x, block);
    for (size j = 0; j < J; j++) store(c + j * L, (V)((VI)(load(c + j * L) * factor) & mask));
}

/* db = c (votes . ds - the mean of that over c). */
static void couple_slopes(const step_job *job, size image, size block, size r) {
    const program_step *step = job->step;
    size J = step->y.C;
    const T *c = lanes_at(job, &step->couplings, image, block, r);
    T *db = lanes_at(job, &step->couplings, image, block, step->count + r);
    V mean = {0};
    agreements(job, image, block, SLOPE_ROW, r, db);
    for (size j = 0; j < J; j++) mean += load(c + j * L) * load(db + j * L);
    VI mask = lanes_of(&step->x, block);
    for (size j = 0; j < J; j++) store(db + j * L, (V)((VI)(load(c + j * L) * (load(db + j * L) - mean)) & mask));
}

/* In lane k the sum over the lanes of v[k]. */
INLINE V sum_each(const V v[L]) {
    union {
        V whole;
        VS part[L / S];
    } found;
    UNROLL for (int part = 0; part < L / S; part++) {
        VS sums[S];
        UNROLL for (int k = 0; k < S; k++) sums[k] = add_halves(v[part * S + k]);
        found.part[part] = sum_lanes(sums);
    }
    return found.whole;
}

/* A row's sums over some blocks of capsules below, for L values of a capsule above or the last `count`; share: of each
   capsule below, or NULL. Vectors behind the last are that one again. */
INLINE V shared_sums(const int whole, const T *vote, const T *share, size vote_step, size share_step, size blocks,
                     size count) {
    V sums[L];
    UNROLL for (int k = 0; k < L; k++) sums[k] = (V){0};
    for (size block = 0; block < blocks; block++) {
        V c = share ? load(share + block * share_step) : splat(1);
        const T *from = vote + block * vote_step;
        UNROLL for (int k = 0; k < L; k++) sums[k] += c * load(from + (whole ? k : smaller(k, count - 1)) * L);
    }
    return sum_each(sums);
}

/* Sums over a part of the capsules below: of c votes, or on the way back of db votes. */
static int routing_part_task(void *context, ptrdiff_t task) {
    const routing_pass *pass = context;
    const step_job *job = pass->job;
    const program_step *step = job->step;
    const map *votes = &step->votes, *couplings = &step->couplings;
    size image = task / pass->parts, part = task % pass->parts, r = pass->r, E = step->y.W;
    size blocks = map_blocks(&step->x), first = part * blocks / pass->parts, end = (part + 1) * blocks / pass->parts;
    int back = step->kind == STEP_ROUTING_BACKWARD;
    for (size block = first; block < end; block++) {
        if (back) couple_slopes(job, image, block, r);
        else if (r) couple_block(job, image, block, r);
    }
    for (size j = 0; j < step->y.C; j++) {
        T *to = sums_at(job, image, j / L, GRADIENT_ROW, part + 1) + j % L;
        const T *share = lanes_at(job, couplings, image, first, back ? step->count + r : r) + j * L;
        for (size e = 0; e < E; e += L) {
            const T *vote = lanes_at(job, votes, image, first, j) + e * L;
            size count = smaller(L, E - e);
            V sum = count == L
                        ? shared_sums(1, vote, r ? share : NULL, votes->plane, couplings->plane, end - first, L)
                        : shared_sums(0, vote, r ? share : NULL, votes->plane, couplings->plane, end - first, count);
            for (size k = 0; k < count; k++) to[(e + k) * L] = sum[k];
        }
    }
    return 0;
}

/* to = the sums of all parts, scaled, and what is there: if add. */
static void join_parts(const routing_pass *pass, size image, size block, T scale, int add, T *to) {
    const step_job *job = pass->job;
    VI mask = lanes_of(&job->step->y, block);
    for (size e = 0; e < job->step->y.W * L; e += L) {
        V sum = {0};
        for (size part = 0; part < pass->parts; part++)
            sum += load(sums_at(job, image, block, GRADIENT_ROW, part + 1) + e);
        sum = (V)((VI)(sum * scale) & mask);
        store(to + e, add ? load(to + e) + sum : sum);
    }
}

/* The end of pass r: s, v and what v agrees with; back: its beginning, ds. */
static void routing_join(const routing_pass *pass, size image) {
    const step_job *job = pass->job;
    const program_step *step = job->step;
    size r = pass->r, last = step->count - 1, E = step->y.W;
    for (size block = 0; block < map_blocks(&step->y); block++) {
        T *s = sums_at(job, image, block, SUM_ROW, r), *gradient = sums_at(job, image, block, GRADIENT_ROW, 0);
        if (step->kind == STEP_ROUTING_BACKWARD) {
            if (r < last) join_parts(pass, image, block, 1, r < last - 1, gradient);
            const T *dv = r == last ? lanes_at(job, &step->dy, image, block, 0) : gradient;
            squash_slope(dv, s, L, E, sums_at(job, image, block, SLOPE_ROW, r));
            continue;
        }
        T *agreed = sums_at(job, image, block, AGREED_ROW, r);
        join_parts(pass, image, block, r ? 1 : (T)(1 / (double)step->y.C), 0, s);
        squash(s, L, E, r == last ? lanes_at(job, &step->y, image, block, 0) : agreed);
        for (size e = 0; r && r < last && e < E * L; e += L)
            store(agreed + e, load(agreed + e) + load(sums_at(job, image, block, AGREED_ROW, r - 1) + e));
    }
}

/* All passes of the images [first, end), each part of each pass a task where images are too few. */
static int routing_passes(const step_job *job, size first, size end, int parallel) {
    const program_step *step = job->step;
    int back = step->kind == STEP_ROUTING_BACKWARD;
    size most = ceil_div(step->x.C, ROUTING_PART);
    routing_pass pass = {job, 0, smaller(most, map_blocks(&step->x))};
    for (size turn = 0; turn < step->count; turn++) {
        pass.r = back ? step->count - 1 - turn : turn;
        for (size image = first; back && image < end; image++) routing_join(&pass, image);
        if (back && !pass.r) break;
        if (parallel && pool_run(routing_part_task, &pass, (end - first) * pass.parts, 1)) return -1;
        for (size task = first * pass.parts; !parallel && task < end * pass.parts; task++)
            routing_part_task(&pass, task);
        for (size image = first; !back && image < end; image++) routing_join(&pass, image);
    }
    return 0;
}

static int routing_image_task(void *context, ptrdiff_t image) { return routing_passes(context, image, image + 1, 0); }

static int routing_by_images(step_job *job) {
    const program_step *step = job->step;
    size work = job->n * map_blocks(&step->x) * step->y.C * step->y.W * step->count;
    int parallel = job->threads > 1 && work > PARALLEL_FROM;
    if (parallel && (job->n % job->threads == 0 || job->n >= TASKS_A_THREAD * job->threads))
        return pool_run(routing_image_task, job, job->n, 1);
    return routing_passes(job, 0, job->n, parallel);
}

static int routing_step(step_job *job) {
    const program_step *step = job->step;
    size blocks = map_blocks(&step->x), work = job->n * blocks * step->y.C * step->y.W * step->x.W;
    for (size image = 0; image < job->n; image++)
        for (size block = 0; block < map_blocks(&step->y); block++)
            clear_halo(&step->y, job->arena, image, block, 0, 1);
    if (run_tasks(job, votes_task, blocks, work > PARALLEL_FROM)) return -1;
    return routing_by_images(job);
}

/* ---- back ---- */

/* Gradients of the votes of L capsules below for one above: of each pass c ds + db agreed. */
static void vote_slopes(const step_job *job, size image, size block, size j, T *dvotes) {
    const program_step *step = job->step;
    size R = step->count, pitch = step->couplings.pitch, down = step->sums.pitch;
    const T *c = lanes_at(job, &step->couplings, image, block, 0) + j * L, *db = c + R * pitch;
    const T *ds = sums_at(job, image, j / L, SLOPE_ROW, 0) + j % L;
    const T *agreed = sums_at(job, image, j / L, AGREED_ROW, 0) + j % L;
    T even = (T)(1 / (double)step->y.C);
    for (size e = 0; e < step->y.W * L; e += L) {
        V sum = splat(ds[e] * even);
        for (size r = 1; r < R; r++)
            sum += load(c + r * pitch) * ds[r * down + e] + load(db + r * pitch) * agreed[(r - 1) * down + e];
        store(dvotes + e, sum);
    }
}

/* M vectors of dW = dvotes u for one value of the capsule above, summed over the images. */
INLINE void weight_vectors_of(const int M, const step_job *job, size block, const T *dvotes, size d, T *dw) {
    V sum[VALUES_AT_ONCE];
    const T *u = lanes_at(job, &job->step->x, 0, block, 0) + d * L;
    UNROLL for (int m = 0; m < M; m++) sum[m] = (V){0};
    for (size image = 0; image < job->n; image++, u += job->step->x.image, dvotes += job->step->y.W * L) {
        V slope = load(dvotes);
        UNROLL for (int m = 0; m < M; m++) sum[m] += slope * load(u + m * L);
    }
    UNROLL for (int m = 0; m < M; m++) store(dw + m * L, sum[m]);
}

/* L capsules below, of all images: dw is written once. */
static int votes_back_task(void *context, ptrdiff_t block) {
    const step_job *job = context;
    const program_step *step = job->step;
    size D = step->x.W, E = step->y.W;
    T *dvotes = pool_scratch(SCRATCH_TASK, (size_t)((job->n + D) * E) * VBYTES);
    if (!dvotes) return -1;
    T *w = dvotes + job->n * E * L;
    for (size j = 0; j < step->y.C; j++) {
        if (step->dx.C) turn_weights(step, block, j, w, 0);
        for (size image = 0; image < job->n; image++) {
            T *own = dvotes + image * E * L;
            vote_slopes(job, image, block, j, own);
            if (step->dx.C) products(D, E, w, D, 1, own, lanes_at(job, &step->dx, image, block, 0), j || step->add_dx);
        }
        if (!step->dw) continue;
        for (size e = 0; e < E; e++) {
            size d = 0;
            for (; d + VALUES_AT_ONCE <= D; d += VALUES_AT_ONCE)
                weight_vectors_of(VALUES_AT_ONCE, job, block, dvotes + e * L, d, w + (e * D + d) * L);
            for (; d < D; d++) weight_vectors_of(1, job, block, dvotes + e * L, d, w + (e * D + d) * L);
        }
        turn_weights(step, block, j, w, 1);
    }
    VI mask = lanes_of(&step->x, block);
    for (size image = 0; step->dx.C && image < job->n; image++) {
        T *dx = lanes_at(job, &step->dx, image, block, 0);
        for (size d = 0; d < D * L; d += L) store(dx + d, (V)((VI)load(dx + d) & mask));
        if (!step->add_dx) clear_halo(&step->dx, job->arena, image, block, 0, 1);
    }
    return 0;
}

static int routing_back_step(step_job *job) {
    const program_step *step = job->step;
    size blocks = map_blocks(&step->x), work = job->n * blocks * step->y.C * step->y.W * step->x.W;
    if (routing_by_images(job)) return -1;
    return run_tasks(job, votes_back_task, blocks, work > PARALLEL_FROM);
}

#endif
