/* Weight gradient of a 3 x 3, stride 1 convolution by Winograd F(3x3, 2x2): 16 products where the direct sum takes 36.

   dw = A^T [(G dy G^T) * (B^T x B)] A summed over all 2 x 2 tiles of dy, with the B of winograd.h and
   G = [1 0; 1 1; 1 -1; 0 1], A^T = [1 1/2 1/2 0; 0 1/2 -1/2 0; 0 1/2 1/2 -1]. The tiles are dealt to tasks as the bands of
   conv_dw.h are; of a band's 16 frequencies one row of four is made at a time, so that its transforms fit the cache. The
   last transform follows when all are done. db is the sum of frequency (1, 1) of dy. */

enum { FREQUENCIES = 16, DW_CHUNK = 32, DW_TILES = 32 }; /* of F(2x2); channels of a task; tiles of a band */

typedef struct {
    const conv_backward_args *a;
    row_source source;
    size c_chunks, o_chunks; /* of each group */
    size tile_rows, tile_columns, bands, shares;
    T *sums, *db; /* of the first share: [group][frequency][o][c]; db is O values, or NULL */
    size share_step;
} winograd_dw_job;

/* Where a tile stands: its block, its window of dy, its corner in x, and which lanes of the block hold images. */
typedef struct {
    size block, h, w;
    VI mask;
} tile_place;

static void find_places(const winograd_dw_job *job, size t0, size count, tile_place *place) {
    size area = job->tile_rows * job->tile_columns;
    for (size t = 0; t < count; t++) {
        place[t].block = (t0 + t) / area;
        place[t].h = (t0 + t) % area / job->tile_columns;
        place[t].w = (t0 + t) % job->tile_columns;
        place[t].mask = lanes_below(job->a->g.n - place[t].block * L);
    }
}

/* The gradient of the four pixels of a window of channel c, zeros outside. */
INLINE void gradient_window(const row_source *s, size c, const tile_place *p, V g[4]) {
    if (s->pool) {
        size half_h = s->H / 2, half_w = s->W / 2, at = (((p->block * s->C + c) * half_h + p->h) * half_w + p->w) * L;
        UNROLL for (int q = 0; q < 4; q++) g[q] = (V){0};
        if (p->h >= half_h || p->w >= half_w) return;
        V d = load(s->x + at);
        VI code = __builtin_convertvector(*(const VB *)(s->code + at), VI);
        if (s->pool == POOL_AVG) d *= (T)0.25;
        UNROLL for (int q = 0; q < 4; q++)
            g[q] = (V)((VI)d & (s->pool == POOL_AVG ? (code & (1 << q)) != 0 : code == q));
        return;
    }
    size at = (((p->block * s->C + c) * s->H + 2 * p->h) * s->W + 2 * p->w) * L;
    UNROLL for (int q = 0; q < 4; q++) {
        int inside = 2 * p->h + q / 2 < s->H && 2 * p->w + q % 2 < s->W;
        size place = at + (q / 2 * s->W + q % 2) * L;
        g[q] = inside ? load(s->x + place) : (V){0};
        if (s->relu_y && inside) g[q] = (V)((VI)g[q] & (load(s->relu_y + place) > 0));
    }
}

/* Row i of G dy G^T, by way of (a, b): the two pixels of a column. */
INLINE V gradient_row(int i, V a, V b) {
    switch (i) {
    case 0: return a;
    case 1: return a + b;
    case 2: return a - b;
    default: return b;
    }
}

/* Row i of B^T x B for the tile at pixel (h, w): four vectors, `step` apart. */
INLINE void input_row(int i, const T *x, size h, size w, size H, size W, VI mask, T *out, size step) {
    static const int first[4] = {0, 1, 2, 1}, second[4] = {2, 2, 1, 3};
    size h0 = h + first[i], h1 = h + second[i];
    int has0 = h0 >= 0 && h0 < H, has1 = h1 >= 0 && h1 < H;
    V a[WINOGRAD_SIDE];
    UNROLL for (int j = 0; j < 4; j++) {
        int inside = w + j >= 0 && w + j < W;
        V d0 = has0 && inside ? load(x + (h0 * W + w + j) * L) : (V){0};
        V d1 = has1 && inside ? load(x + (h1 * W + w + j) * L) : (V){0};
        a[j] = (V)((VI)(i == 1 ? d0 + d1 : d0 - d1) & mask);
    }
    input_axis(2, a);
    UNROLL for (int j = 0; j < 4; j++) store(out + j * step, a[j]);
}

/* Row i of the transforms of a band's tiles: lines of DW_TILES vectors, one a channel. */
INLINE void transform_row(const winograd_dw_job *job, int i, const tile_place *place, size count, size c0, size C, size o0,
                          size O, T *x_rows, size x_step, T *g_rows, size g_step) {
    const geometry *g = &job->a->g;
    const T *x = job->a->x;
    for (size c = c0; c < c0 + C; c++, x_rows += DW_TILES * L)
        for (size t = 0; t < count; t++)
            input_row(i, x + (place[t].block * g->C + c) * g->H * g->W * L, 2 * place[t].h - g->PH, 2 * place[t].w - g->PW,
                      g->H, g->W, place[t].mask, x_rows + t * L, x_step);
    for (size o = o0; o < o0 + O; o++, g_rows += DW_TILES * L) {
        for (size t = 0; t < count; t++) {
            V d[4];
            gradient_window(&job->source, o, &place[t], d);
            V left = gradient_row(i, d[0], d[2]), right = gradient_row(i, d[1], d[3]);
            UNROLL for (int j = 0; j < 4; j++) store(g_rows + t * L + j * g_step, gradient_row(j, left, right));
        }
    }
}

static void transform(const winograd_dw_job *job, int i, const tile_place *place, size count, size c0, size C, size o0, size O,
                      T *x_rows, size x_step, T *g_rows, size g_step) {
#define CASE(i) case i: transform_row(job, i, place, count, c0, C, o0, O, x_rows, x_step, g_rows, g_step); break;
    switch (i) { CASE(0) CASE(1) CASE(2) CASE(3) }
#undef CASE
}

static int winograd_dw_task(void *context, ptrdiff_t task) {
    const winograd_dw_job *job = context;
    const geometry g = job->a->g;
    size Cg = g.C / g.G, Og = g.O / g.G, tiles = blocks_of(g.n) * job->tile_rows * job->tile_columns;
    size share = task % job->shares, chunk = task / job->shares;
    size cc = chunk % job->c_chunks, oc = chunk / job->c_chunks % job->o_chunks, group = chunk / job->c_chunks / job->o_chunks;
    size c0 = tile_start(Cg, job->c_chunks, cc), C = tile_start(Cg, job->c_chunks, cc + 1) - c0;
    size o0 = tile_start(Og, job->o_chunks, oc), O = tile_start(Og, job->o_chunks, oc + 1) - o0;
    int with_db = job->db && cc == 0;
    size K = C + with_db, line = DW_TILES * L, x_step = K * line + L, g_step = O * line + L;
    T *x_rows = pool_scratch(SCRATCH_TASK, (size_t)(4 * (x_step + g_step)) * sizeof(T) + (size_t)K * sizeof(size));
    if (!x_rows) return -1;
    T *g_rows = x_rows + 4 * x_step, sum[GRAD_SUMS];
    tile_place place[DW_TILES];
    size *offset = (size *)(g_rows + 4 * g_step);
    for (size k = 0; k < K; k++) offset[k] = k * line;
    T *sums = job->sums + share * job->share_step + (group * FREQUENCIES * Og + o0) * Cg + c0;
    T *db = with_db ? job->db + share * job->share_step + group * Og + o0 : NULL;
    for (size f = 0; f < FREQUENCIES; f++)
        for (size o = 0; o < O; o++) memset(sums + (f * Og + o) * Cg, 0, (size_t)C * sizeof(T));
    if (with_db) {
        memset(db, 0, (size_t)O * sizeof(T));
        for (size p = 0; p < line; p += L) UNROLL for (int j = 0; j < 4; j++) store(x_rows + j * x_step + C * line + p, splat(1));
    }
    size m_tiles = tile_count(O, GRAD_M), first = share * job->bands / job->shares, last = (share + 1) * job->bands / job->shares;
    for (size step = 4 * first; step < 4 * last; step++) {
        size t0 = step / 4 * DW_TILES, count = smaller(DW_TILES, tiles - t0);
        int i = (int)(step % 4);
        if (i == 0) find_places(job, t0, count, place);
        transform(job, i, place, count, group * Cg + c0, C, group * Og + o0, O, x_rows, x_step, g_rows, g_step);
        for (int j = 0; j < 4; j++) {
            /* The channel of ones counts in frequency (1, 1) alone. */
            size columns = i == 1 && j == 1 ? K : C, k_tiles = tile_count(columns, GRAD_P);
            grad_row row = {g_rows + j * g_step, x_rows + j * x_step};
            T *to = sums + (4 * i + j) * Og * Cg;
            for (size mt = 0; mt < m_tiles; mt++) {
                size m = tile_start(O, m_tiles, mt), M = tile_start(O, m_tiles, mt + 1) - m;
                for (size kt = 0; kt < k_tiles; kt++) {
                    size k = tile_start(columns, k_tiles, kt), P = tile_start(columns, k_tiles, kt + 1) - k;
                    grad_tile((int)M, (int)P, 1, &row, count, line, m * line, L, offset + k, sum);
                    for (size r = 0; r < M; r++) {
                        for (size c = 0; c < P; c++) {
                            if (k + c < C) to[(m + r) * Cg + k + c] += sum[r * P + c];
                            else db[m + r] += sum[r * P + c];
                        }
                    }
                }
            }
        }
    }
    return 0;
}

/* A^T of four values. */
INLINE void weight_axis(const T m[4], T y[3]) {
    T half_sum = (m[1] + m[2]) / 2;
    y[0] = m[0] + half_sum;
    y[1] = (m[1] - m[2]) / 2;
    y[2] = half_sum - m[3];
}

/* All weights of output channel o. */
static int winograd_dw_last_task(void *context, ptrdiff_t o) {
    const winograd_dw_job *job = context;
    const geometry g = job->a->g;
    size Cg = g.C / g.G, Og = g.O / g.G, step = Og * Cg;
    const T *sums = job->sums + o / Og * FREQUENCIES * step + o % Og * Cg;
    T *dw = (T *)job->a->dw + o * Cg * 9;
    for (size c = 0; c < Cg; c++) {
        T rows[4][3], column[4], y[3];
        for (int i = 0; i < 4; i++) {
            T m[4];
            for (int j = 0; j < 4; j++) {
                m[j] = sums[(4 * i + j) * step + c];
                for (size s = 1; s < job->shares; s++) m[j] += sums[s * job->share_step + (4 * i + j) * step + c];
            }
            weight_axis(m, rows[i]);
        }
        for (int j = 0; j < 3; j++) {
            for (int i = 0; i < 4; i++) column[i] = rows[i][j];
            weight_axis(column, y);
            for (int i = 0; i < 3; i++) dw[c * 9 + i * 3 + j] = y[i];
        }
    }
    return 0;
}

/* Whether the transforms cost less than the products that they save; as winograd_pays. */
INLINE int winograd_dw_pays(const geometry *g) {
    if (g->KH != 3 || g->KW != 3 || g->SH != 1 || g->SW != 1 || g->DH != 1 || g->DW != 1) return 0;
    size C = g->C / g->G, O = g->O / g->G, tiles = ceil_div(g->OH, 2) * ceil_div(g->OW, 2);
    size o_chunks = ceil_div(O, DW_CHUNK), c_chunks = ceil_div(C, DW_CHUNK);
    return tiles * (18 * O * C + 72 * C * o_chunks + 40 * O * c_chunks) < 8 * g->OH * g->OW * O * C;
}

static int winograd_dw(const conv_backward_args *a, const row_source *source) {
    const geometry g = a->g;
    size Cg = g.C / g.G, Og = g.O / g.G, tile_rows = ceil_div(g.OH, 2), tile_columns = ceil_div(g.OW, 2);
    size bands = ceil_div(blocks_of(g.n) * tile_rows * tile_columns, DW_TILES);
    size products = g.O * Cg * FREQUENCIES, step = products + g.O, shares = grad_shares(bands, step * (size)sizeof(T));
    T *sums = pool_scratch(SCRATCH_CALL, (size_t)(shares * step) * sizeof(T));
    if (!sums) return -1;
    winograd_dw_job job = {
        .a = a, .source = *source, .c_chunks = ceil_div(Cg, DW_CHUNK), .o_chunks = ceil_div(Og, DW_CHUNK),
        .tile_rows = tile_rows, .tile_columns = tile_columns, .bands = bands, .shares = shares, .sums = sums,
        .db = a->db ? sums + products : NULL, .share_step = step,
    };
    size work = bands * DW_TILES * g.O * Cg * FREQUENCIES;
    if (pool_run(winograd_dw_task, &job, g.G * job.o_chunks * job.c_chunks * shares, work > PARALLEL_FROM)) return -1;
    if (pool_run(winograd_dw_last_task, &job, g.O, g.O * Cg * shares > PARALLEL_FROM / 16)) return -1;
    return a->db ? reduce(job.db, a->db, g.O, shares, step) : 0;
}
