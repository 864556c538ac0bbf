/* The linear layer's three matrix products, all by the register tile: no other matrix product runs in a training step.

   forward  y[o] = sum_f w[o, f] x[f]     vectors: images in lanes, one block after another
   dx       dx[f] = sum_o w[o, f] dy[o]   likewise
   dw       dw[o, f] = sum_n dy[o, n] x[n, f]   vectors: L features of one image; x is transposed for that */

typedef struct {
    sweep_plan plan;
    const T *in;
    T *out;
    size chunks;
} product_job;

static int product_task(void *context, ptrdiff_t task) {
    const product_job *job = context;
    sweep_plan plan = job->plan;
    size tiles = tile_count(plan.M, TILE_M);
    plan.m0 = tile_start(plan.M, tiles, task * tiles / job->chunks);
    plan.m1 = tile_start(plan.M, tiles, (task + 1) * tiles / job->chunks);
    sweep(&plan, job->in, job->out, NULL);
    return 0;
}

static int product(const sweep_plan *plan, const T *in, T *out, int parallel) {
    size chunks = larger(1, smaller(16, tile_count(plan->M, TILE_M)));
    product_job job = {*plan, in, out, chunks};
    return pool_run(product_task, &job, chunks, parallel);
}

static int linear_forward(const linear_forward_args *a) {
    size blocks = blocks_of(a->n), zero = 0;
    if (!blocks || !a->O) return 0;
    sweep_plan plan = {
        .walk = {&zero, 1, a->F, a->F, L, 1, a->F, 0}, .rows = 1, .columns = blocks, .in_column = a->F * L,
        .out_column = a->O * L, .M = a->O, .out_m = L, .a = a->w, .bias = a->b, .relu = a->relu,
    };
    return product(&plan, a->x, a->y, blocks * a->F * a->O > PARALLEL_FROM);
}

typedef struct {
    const T *x;
    T *transposed;
    size F, width; /* width: F rounded up to vectors */
} transpose_job;

/* One block: (F, L) -> (L, width), zeros behind F. */
static int transpose_task(void *context, ptrdiff_t block) {
    const transpose_job *job = context;
    const T *x = job->x + block * job->F * L;
    T *out = job->transposed + block * L * job->width;
    for (size f = 0; f < job->F; f += L) {
        V square[L];
        UNROLL for (int i = 0; i < L; i++) square[i] = f + i < job->F ? load(x + (f + i) * L) : (V){0};
        transpose(square);
        UNROLL for (int i = 0; i < L; i++) store(out + i * job->width + f, square[i]);
    }
    return 0;
}

static int linear_dw(const linear_backward_args *a, const T *dy, T *transposed, T *tail) {
    size blocks = blocks_of(a->n), O = a->O, F = a->F, width = (F + L - 1) / L * L, piece = 0;
    int parallel = blocks * F * O > PARALLEL_FROM;
    transpose_job job = {a->x, transposed, F, width};
    if (pool_run(transpose_task, &job, blocks, parallel)) return -1;
    sweep_plan plan = {
        .walk = {&piece, 1, a->n, a->n, width, 1, L, 0}, .rows = 1, .columns = F / L, .in_column = L,
        .out_column = L, .M = O, .out_m = F, .relu = 0,
    };
    size *offset = (size *)(tail + O * L);
    for (size b = 0; b < blocks; b++) offset[b] = b * L * width;
    plan.walk.offset = offset;
    plan.walk.runs = blocks;
    plan.walk.run = L;
    plan.walk.last_run = a->n - (blocks - 1) * L;
    plan.walk.a_piece = O * L;
    plan.a = dy;
    if (plan.columns && product(&plan, transposed, a->dw, parallel)) return -1;
    if (F % L) {
        plan.columns = 1;
        plan.out_m = L;
        if (product(&plan, transposed + F / L * L, tail, 0)) return -1;
        for (size o = 0; o < O; o++) memcpy((T *)a->dw + o * F + F / L * L, tail + o * L, (size_t)(F % L) * sizeof(T));
    }
    return 0;
}

static int linear_backward(const linear_backward_args *a) {
    size blocks = blocks_of(a->n), zero = 0, O = a->O, F = a->F, width = (F + L - 1) / L * L;
    if (!blocks) {
        if (a->dw) memset(a->dw, 0, (size_t)(O * F) * sizeof(T));
        if (a->db) memset(a->db, 0, (size_t)O * sizeof(T));
        return 0;
    }
    if (!O || !F) {
        if (a->dx) memset(a->dx, 0, (size_t)(blocks * F) * VBYTES);
        if (a->db) memset(a->db, 0, (size_t)O * sizeof(T));
        if (!O) return 0;
    }
    size floats = blocks * O * L + blocks * L * width + O * L;
    T *masked = pool_scratch(SCRATCH_CALL, (size_t)floats * sizeof(T) + (size_t)blocks * sizeof(size));
    if (!masked) return -1;
    const T *dy = a->dy;
    if (a->relu_y) {
        row_source source = {.x = dy, .relu_y = a->relu_y, .C = 1, .H = 1, .W = O};
        for (size b = 0; b < blocks; b++) source_row(&source, b, 0, 0, masked + b * O * L);
        dy = masked;
    }
    if (a->db) {
        for (size o = 0; o < O; o++) {
            V sum = {0};
            for (size b = 0; b < blocks; b++) sum += load(dy + (b * O + o) * L);
            ((T *)a->db)[o] = sum_vector(sum);
        }
    }
    if (a->dx && F) {
        sweep_plan plan = {
            .walk = {&zero, 1, O, O, L, F, 1, 0}, .rows = 1, .columns = blocks, .in_column = O * L, .out_column = F * L,
            .M = F, .out_m = L, .a = a->w,
        };
        if (product(&plan, dy, a->dx, blocks * F * O > PARALLEL_FROM)) return -1;
    }
    if (!a->dw || !F) return 0;
    T *transposed = masked + blocks * O * L;
    return linear_dw(a, dy, transposed, transposed + blocks * L * width);
}
