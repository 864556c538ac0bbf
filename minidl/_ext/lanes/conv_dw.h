/* Weight and bias gradient of a convolution: dw[o, c, kh, kw] is the correlation of dy[o] with the shifted x[c].

   A task owns some output and some input channels and walks over the whole batch, so every sum is taken in one order,
   whatever the number of threads, and no partial gradients are written. x is copied with its padding, band after band;
   db is the weight gradient of one more input channel that is all ones. */

typedef struct {
    const conv_backward_args *a;
    row_source source;
    size o_chunks, c_chunks; /* of each group */
    size blocks_each, rows_each, columns; /* of a band: blocks, rows of dy; columns of the padded copy of x */
} conv_dw_job;

INLINE void mask_lanes(T *x, size vectors, VI mask) {
    for (size i = 0; i < vectors; i++) store(x + i * L, (V)((VI)load(x + i * L) & mask));
}

/* Rows [h0, h1) of one channel, padded to columns [-PW, columns - PW). */
static void pad_channel(const geometry *g, const T *x, size h0, size h1, size columns, T *dst) {
    size inside = smaller(g->W, columns - g->PW);
    for (size h = h0; h < h1; h++, dst += columns * L) {
        if (h < 0 || h >= g->H || inside <= 0) {
            memset(dst, 0, (size_t)columns * VBYTES);
            continue;
        }
        memset(dst, 0, (size_t)g->PW * VBYTES);
        memcpy(dst + g->PW * L, x + h * g->W * L, (size_t)inside * VBYTES);
        memset(dst + (g->PW + inside) * L, 0, (size_t)(columns - g->PW - inside) * VBYTES);
    }
}

/* All tiles of a task over the rows of one band, added to dw and db. */
static void grad_tiles(const conv_dw_job *job, size rows, const grad_row *row, size dy_channel, size o0, size O, size c0, size C,
                       size K, const size *offset) {
    const geometry *g = &job->a->g;
    size taps = g->KH * g->KW, real = C * taps;
    T sums[GRAD_SUMS], *db = job->a->db;
    size m_tiles = tile_count(O, GRAD_M), k_tiles = tile_count(K, GRAD_P);
    for (size mt = 0; mt < m_tiles; mt++) {
        size m = tile_start(O, m_tiles, mt), M = tile_start(O, m_tiles, mt + 1) - m;
        for (size kt = 0; kt < k_tiles; kt++) {
            size k = tile_start(K, k_tiles, kt), P = tile_start(K, k_tiles, kt + 1) - k;
            grad_tile((int)M, (int)P, rows, row, g->OW, dy_channel, m * dy_channel, g->SW * L, offset + k, sums);
            for (size i = 0; i < M; i++) {
                T *dw = (T *)job->a->dw + (o0 + m + i) * (g->C / g->G) * taps + c0 * taps;
                for (size j = 0; j < P; j++) {
                    if (k + j < real) dw[k + j] += sums[i * P + j];
                    else db[o0 + m + i] += sums[i * P + j];
                }
            }
        }
    }
}

static int conv_dw_task(void *context, ptrdiff_t task) {
    const conv_dw_job *job = context;
    const conv_backward_args *a = job->a;
    const geometry g = a->g;
    size Cg = g.C / g.G, Og = g.O / g.G, blocks = blocks_of(g.n), taps = g.KH * g.KW;
    size c_chunk = task % job->c_chunks, o_chunk = task / job->c_chunks % job->o_chunks, group = task / job->c_chunks / job->o_chunks;
    size c0 = tile_start(Cg, job->c_chunks, c_chunk), C = tile_start(Cg, job->c_chunks, c_chunk + 1) - c0;
    size o0 = tile_start(Og, job->o_chunks, o_chunk), O = tile_start(Og, job->o_chunks, o_chunk + 1) - o0;
    o0 += group * Og;
    int with_db = a->db && c_chunk == 0;
    size K = C * taps + with_db, columns = job->columns;
    int copies = source_copies(&job->source);

    size high = (job->rows_each - 1) * g.SH + (g.KH - 1) * g.DH + 1, channel = high * columns * L;
    size x_block = (C + with_db) * channel, dy_block = copies ? O * job->rows_each * g.OW * L : 0;
    size floats = job->blocks_each * (x_block + dy_block);
    T *x_copy = pool_scratch(SCRATCH_TASK, (size_t)(floats * (size)sizeof(T)) + (size_t)K * sizeof(size) +
                                               (size_t)(job->blocks_each * job->rows_each) * sizeof(grad_row));
    if (!x_copy) return -1;
    T *dy_copy = x_copy + job->blocks_each * x_block;
    size *offset = (size *)(x_copy + floats);
    grad_row *row = (grad_row *)(offset + K);
    for (size k = 0; k < C * taps; k++)
        offset[k] = k / taps * channel + (k / g.KW % g.KH * g.DH * columns + k % g.KW * g.DW) * L;
    if (with_db) offset[C * taps] = C * channel;

    for (size o = o0; o < o0 + O; o++) {
        memset((T *)a->dw + (o * Cg + c0) * taps, 0, (size_t)(C * taps) * sizeof(T));
        if (with_db) ((T *)a->db)[o] = 0;
    }
    if (with_db)
        for (size b = 0; b < job->blocks_each; b++)
            for (size i = 0; i < channel; i += L) store(x_copy + b * x_block + C * channel + i, splat(1));
    for (size b0 = 0; b0 < blocks; b0 += job->blocks_each) {
        size b1 = smaller(blocks, b0 + job->blocks_each);
        for (size r0 = 0; r0 < g.OH; r0 += job->rows_each) {
            size r1 = smaller(g.OH, r0 + job->rows_each), rows = 0, h0 = r0 * g.SH - g.PH;
            for (size b = b0; b < b1; b++) {
                T *xb = x_copy + (b - b0) * x_block, *dyb = dy_copy + (b - b0) * dy_block;
                for (size c = 0; c < C; c++) {
                    const T *x = (const T *)a->x + ((b * g.C + group * Cg + c0 + c) * g.H) * g.W * L;
                    size h1 = h0 + (r1 - r0 - 1) * g.SH + (g.KH - 1) * g.DH + 1;
                    pad_channel(&g, x, h0, h1, columns, xb + c * channel);
                }
                if (b == blocks - 1 && g.n % L) mask_lanes(xb, C * channel / L, lanes_below(g.n % L));
                for (size r = r0; r < r1; r++, rows++) {
                    row[rows].x = xb + (r - r0) * g.SH * columns * L;
                    row[rows].dy = copies ? dyb + (r - r0) * g.OW * L
                                          : (const T *)a->dy + ((b * g.O + o0) * g.OH + r) * g.OW * L;
                    if (!copies) continue;
                    for (size o = 0; o < O; o++)
                        source_row(&job->source, b, o0 + o, r, dyb + (o * job->rows_each + r - r0) * g.OW * L);
                }
            }
            size dy_channel = (copies ? job->rows_each : g.OH) * g.OW * L;
            grad_tiles(job, rows, row, dy_channel, o0, O, c0, C, K, offset);
        }
    }
    return 0;
}

static int conv_dw(const conv_backward_args *a, const row_source *source) {
    const geometry g = a->g;
    size blocks = blocks_of(g.n), Cg = g.C / g.G, Og = g.O / g.G, taps = g.KH * g.KW;
    if (!g.O || !Cg) return 0;
    /* Input channels are dealt first: they share no copy of x. At least one tile's width each; 16 tasks are enough. */
    size most_c = larger(1, Cg * taps / (2 * GRAD_P));
    size c_chunks = smaller(smaller(Cg, most_c), larger(1, ceil_div(16, g.G)));
    size o_chunks = smaller(ceil_div(Og, GRAD_M), larger(1, ceil_div(16, g.G * c_chunks)));
    size columns = (g.OW - 1) * g.SW + (g.KW - 1) * g.DW + 1;
    /* A band: about 128 pixels or more, so that the sums over lanes are rare; several blocks where one has fewer. */
    size rows_each = smaller(g.OH, ceil_div(128, g.OW));
    size blocks_each = smaller(larger(blocks, 1), ceil_div(128, rows_each * g.OW));
    conv_dw_job job = {a, *source, o_chunks, c_chunks, blocks_each, rows_each, columns};
    size work = blocks * g.O * g.OH * g.OW * Cg * taps;
    return pool_run(conv_dw_task, &job, g.G * o_chunks * c_chunks, work > PARALLEL_FROM);
}

static int conv_backward(const conv_backward_args *a) {
    const geometry g = a->g;
    row_source source = {a->dy, a->relu_y, a->code, a->pool, g.O, g.OH, g.OW};
    if (a->dx && conv_dx(a, &source)) return -1;
    return a->dw ? conv_dw(a, &source) : 0;
}
