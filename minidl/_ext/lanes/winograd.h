/* Winograd convolution F(2x2, 3x3) with stride 1: 16 products for four outputs where the direct sum takes 36.

   y = A^T [(G w G^T) * (B^T d B)] A for each 4 x 4 input tile d (Lavin and Gray 2016, "Fast algorithms for convolutional
   neural networks"), summed over input channels before the last transform. The 16 products are 16 small matrix products
   by the register tile of tile.h. The input gradient is the same with the kernel turned by 180 degrees and transposed. */

enum { FREQUENCIES = 16 };

/* B^T d: of four values along one axis. */
INLINE void input_axis(V a[4]) {
    V d0 = a[0], d1 = a[1], d2 = a[2], d3 = a[3];
    a[0] = d0 - d2;
    a[1] = d1 + d2;
    a[2] = d2 - d1;
    a[3] = d1 - d3;
}

/* B^T d B of the tile whose rows start at row[i] + w; NULL rows and columns outside [0, W) are zeros. */
INLINE void input_tile(const T *const row[4], size w, size W, T *out, size f_step) {
    V d[4][4];
    int inside = w >= 0 && w + 4 <= W;
    UNROLL for (int i = 0; i < 4; i++) {
        UNROLL for (int j = 0; j < 4; j++)
            d[j][i] = row[i] && (inside || (w + j >= 0 && w + j < W)) ? load(row[i] + (w + j) * L) : (V){0};
    }
    UNROLL for (int j = 0; j < 4; j++) input_axis(d[j]);
    UNROLL for (int i = 0; i < 4; i++) {
        V a[4] = {d[0][i], d[1][i], d[2][i], d[3][i]};
        input_axis(a);
        UNROLL for (int j = 0; j < 4; j++) store(out + (i * 4 + j) * f_step, a[j]);
    }
}

/* A^T m A: the 2 x 2 outputs of a tile, from products f_step apart. */
INLINE void output_tile(const T *m, size f_step, V y[4]) {
    V top[4], bottom[4];
    UNROLL for (int j = 0; j < 4; j++) {
        V m0 = load(m + j * f_step), m1 = load(m + (4 + j) * f_step);
        V m2 = load(m + (8 + j) * f_step), m3 = load(m + (12 + j) * f_step);
        top[j] = m0 + m1 + m2;
        bottom[j] = m1 - m2 - m3;
    }
    y[0] = top[0] + top[1] + top[2];
    y[1] = top[1] - top[2] - top[3];
    y[2] = bottom[0] + bottom[1] + bottom[2];
    y[3] = bottom[1] - bottom[2] - bottom[3];
}

/* One convolution in this form. R, M: channels summed over and made, of each group. w[m, r, kh, kw] stands at
   w + m * w_m + r * w_r, turned by 180 degrees if `turned`. The first tile's corner is input pixel (-top, -left). */
typedef struct {
    row_source source;
    size n, groups, R, M, H, W; /* H, W of the output */
    size top, left, w_m, w_r;
    const T *w, *bias;
    int turned, relu, pool;
    T *y;
    uint8_t *code;
    /* set by winograd() */
    size tile_rows, tile_columns, bands, chunk;
    T *weights;
} winograd_job;

INLINE size winograd_tiles(const winograd_job *job) { return tile_count(job->M, TILE_M); }

/* Transformed weights of one register tile of one group: [frequency][r][i]. */
static int winograd_weights_task(void *context, ptrdiff_t task) {
    const winograd_job *job = context;
    size tiles = winograd_tiles(job), t = task % tiles, group = task / tiles;
    size m0 = tile_start(job->M, tiles, t), M = tile_start(job->M, tiles, t + 1) - m0;
    T *out = job->weights + (group * job->M + m0) * job->R * FREQUENCIES;
    for (size r = 0; r < job->R; r++) {
        for (size i = 0; i < M; i++) {
            const T *w = job->w + group * (job->turned ? job->R * job->w_r : job->M * job->w_m) + (m0 + i) * job->w_m + r * job->w_r;
            T u[4][3];
            for (int k = 0; k < 3; k++) {
                T g0 = w[job->turned ? 8 - k : k], g1 = w[job->turned ? 5 - k : 3 + k], g2 = w[job->turned ? 2 - k : 6 + k];
                u[0][k] = g0;
                u[1][k] = (g0 + g1 + g2) / 2;
                u[2][k] = (g0 - g1 + g2) / 2;
                u[3][k] = g2;
            }
            for (int f = 0; f < 4; f++) {
                T *to = out + (4 * f * job->R + r) * M + i;
                to[0] = u[f][0];
                to[job->R * M] = (u[f][0] + u[f][1] + u[f][2]) / 2;
                to[2 * job->R * M] = (u[f][0] - u[f][1] + u[f][2]) / 2;
                to[3 * job->R * M] = u[f][2];
            }
        }
    }
    return 0;
}

/* Row and column of a tile. */
typedef struct {
    size h, w;
} tile_spot;

/* The outputs of P tiles and of M channels from m0 on, out of their products. */
static void winograd_outputs(const winograd_job *job, size plane, const tile_spot *spot, int P, size m0, int M,
                             const T *products) {
    size half = job->pool ? 2 : 1, H = job->H / half, W = job->W / half;
    const T *bias = job->bias ? job->bias + plane % (job->groups * job->M) + m0 : NULL;
    for (int i = 0; i < M; i++) {
        V start = bias ? splat(bias[i]) : (V){0};
        size channel = (plane + m0 + i) * H * W;
        for (int j = 0; j < P; j++) {
            size h = spot[j].h, w = spot[j].w;
            V y[4];
            output_tile(products + (i * P + j) * L, TILE_M * TILE_P * L, y);
            UNROLL for (int q = 0; q < 4; q++) y[q] += start;
            if (job->pool) {
                if (h >= H || w >= W) continue;
                size at = (channel + h * W + w) * L;
                VI code;
                store(job->y + at, pool_window(y, job->pool, job->relu, &code));
                if (job->code) *(VB *)(job->code + at) = __builtin_convertvector(code, VB);
                continue;
            }
            T *to = job->y + (channel + 2 * h * W + 2 * w) * L;
            UNROLL for (int q = 0; q < 4; q++) {
                if (2 * h + q / 2 < H && 2 * w + q % 2 < W) store(to + (q / 2 * W + q % 2) * L, job->relu ? relu(y[q]) : y[q]);
            }
        }
    }
}

static int winograd_task(void *context, ptrdiff_t task) {
    const winograd_job *job = context;
    size band = task % job->bands, group = task / job->bands % job->groups, block = task / job->bands / job->groups;
    size R = job->R, chunk = job->chunk, columns = job->tile_columns, W = job->source.W;
    size r0 = band * job->tile_rows / job->bands, r1 = (band + 1) * job->tile_rows / job->bands;
    size h0 = larger(0, 2 * r0 - job->top), h1 = smaller(job->source.H, 2 * r1 + 2 - job->top);
    size f_step = (chunk * R + 1) * L; /* one vector more, so that the frequencies do not fall on one set of the cache */
    size copied = source_copies(&job->source) && h1 > h0 ? R * (h1 - h0) * W * L : 0;
    size floats = FREQUENCIES * f_step + FREQUENCIES * TILE_M * TILE_P * L + copied;
    T *input = pool_scratch(SCRATCH_TASK, (size_t)floats * sizeof(T) + (size_t)chunk * sizeof(tile_spot));
    if (!input) return -1;
    tile_spot *spot = (tile_spot *)(input + floats);
    T *products = input + FREQUENCIES * f_step, *copy = products + FREQUENCIES * TILE_M * TILE_P * L;
    const T *x = job->source.x + ((block * job->source.C + group * R) * job->source.H + h0) * W * L;
    size x_channel = job->source.H * W * L;
    if (copied) {
        for (size c = 0; c < R; c++)
            for (size h = h0; h < h1; h++)
                source_row(&job->source, block, group * R + c, h, copy + (c * (h1 - h0) + h - h0) * W * L);
        x = copy;
        x_channel = (h1 - h0) * W * L;
    }
    size zero = 0, tiles = winograd_tiles(job), plane = (block * job->groups + group) * job->M;
    for (size t0 = r0 * columns; t0 < r1 * columns; t0 += chunk) {
        size count = smaller(chunk, r1 * columns - t0);
        for (size t = 0; t < count; t++) spot[t] = (tile_spot){(t0 + t) / columns, (t0 + t) % columns};
        for (size c = 0; c < R; c++) {
            for (size t = 0; t < count; t++) {
                size h = 2 * spot[t].h - job->top, w = 2 * spot[t].w - job->left;
                const T *row[4];
                for (int i = 0; i < 4; i++) row[i] = h + i >= h0 && h + i < h1 ? x + c * x_channel + (h + i - h0) * W * L : NULL;
                input_tile(row, w, W, input + (t * R + c) * L, f_step);
            }
        }
        for (size m = 0; m < tiles; m++) {
            size m0 = tile_start(job->M, tiles, m), M = tile_start(job->M, tiles, m + 1) - m0;
            const T *a = job->weights + (group * job->M + m0) * R * FREQUENCIES;
            tile_walk walk = {&zero, 1, R, R, L, M, 1, 0};
            for (size t = 0; t < count; t += TILE_P) {
                size P = smaller(TILE_P, count - t);
                tile_store to = {NULL, P * L, 0};
                for (int f = 0; f < FREQUENCIES; f++) {
                    const T *in[TILE_P];
                    T *out[TILE_P];
                    for (size j = 0; j < P; j++) {
                        in[j] = input + f * f_step + (t + j) * R * L;
                        out[j] = products + (f * TILE_M * TILE_P + j) * L;
                    }
                    tile((int)M, (int)P, &walk, a + f * R * M, in, &to, out);
                }
                winograd_outputs(job, plane, spot + t, (int)P, m0, (int)M, products);
            }
        }
    }
    return 0;
}

/* Whether the transforms cost less than the products that they save. Vector operations for one tile, counted. */
INLINE int winograd_pays(size KH, size KW, size SH, size SW, size DH, size DW, size R, size M, size H, size W) {
    if (KH != 3 || KW != 3 || SH != 1 || SW != 1 || DH != 1 || DW != 1) return 0;
    size tiles = ceil_div(H, 2) * ceil_div(W, 2);
    return tiles * (16 * M * R + 64 * R + 48 * M) < 8 * H * W * M * R;
}

static int winograd(winograd_job *job) {
    size blocks = blocks_of(job->n), tiles = winograd_tiles(job), weights = job->groups * job->M * job->R * FREQUENCIES;
    job->weights = pool_scratch(SCRATCH_CALL, (size_t)weights * sizeof(T));
    if (!job->weights) return -1;
    if (pool_run(winograd_weights_task, job, job->groups * tiles, weights > PARALLEL_FROM)) return -1;
    job->tile_rows = job->pool ? job->H / 2 : ceil_div(job->H, 2);
    job->tile_columns = job->pool ? job->W / 2 : ceil_div(job->W, 2);
    size rows_each = ceil_div(16, job->tile_columns); /* of a band: 16 tiles or more */
    job->bands = larger(1, job->tile_rows / rows_each);
    size fits = 256 * 1024 / (FREQUENCIES * job->R * VBYTES) / TILE_P * TILE_P;
    job->chunk = smaller(larger(fits, TILE_P), ceil_div(job->tile_rows, job->bands) * job->tile_columns);
    size work = blocks * job->groups * job->M * job->R * job->H * job->W * 4;
    return pool_run(winograd_task, job, blocks * job->groups * job->bands, work > PARALLEL_FROM);
}
