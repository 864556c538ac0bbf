/* Forward operations on plain arrays, one image after another (n, C, H, W): for a batch with too few images to fill lanes.

   Vectors hold L neighbouring pixels or features of one image, at any address. A plain array is followed by PLAIN_SLACK
   elements that may be read and carry no meaning. Elementwise operations run on whole vectors and share their code with
   the lanes. Here: the end of every image operation (relu, pooling, storing), layout, pooling, normalisation. */

/* Store v at y, but nothing from `end` on. What it writes behind a row's own values, later rows overwrite. */
INLINE void store_until(T *y, V v, const T *end) {
    if (y + L <= end) storeu(y, v);
    else memcpy(y, &v, (size_t)(end - y) * sizeof(T));
}

/* The vectors p and p + L -> their even places, or their odd ones. */
INLINE V every_other(const T *p, int odd) { return __builtin_shuffle(loadu(p), loadu(p + L), 2 * iota() + odd); }

/* Rows of values, `pitch` elements apart, through relu and 2 x 2 pooling to `rows` adjacent rows at y, of `columns` values;
   `end` is where the task's own part of y ends. Reads up to 2 L elements behind the last value. */
INLINE void finish_rows(const T *in, size pitch, size rows, size columns, int rectify, int pool, T *y, const T *end) {
    for (size r = 0; r < rows; r++, y += columns) {
        const T *row = in + r * pitch * (pool ? 2 : 1);
        for (size c = 0; c < columns; c += L) {
            V v;
            if (pool) {
                const T *top = row + 2 * c, *bottom = top + pitch;
                V window[4] = {every_other(top, 0), every_other(top, 1), every_other(bottom, 0), every_other(bottom, 1)};
                VI code;
                v = pool_window(window, pool, rectify, &code);
            } else {
                v = rectify ? relu(loadu(row + c)) : loadu(row + c);
            }
            store_until(y + c, v, end);
        }
    }
}

/* finish_rows with one copy for each kind of end. */
static void finish(const T *in, size pitch, size rows, size columns, int rectify, int pool, T *y, const T *end) {
    switch (pool * 2 + !!rectify) {
    case POOL_NONE * 2: finish_rows(in, pitch, rows, columns, 0, POOL_NONE, y, end); break;
    case POOL_NONE * 2 + 1: finish_rows(in, pitch, rows, columns, 1, POOL_NONE, y, end); break;
    case POOL_AVG * 2: finish_rows(in, pitch, rows, columns, 0, POOL_AVG, y, end); break;
    case POOL_AVG * 2 + 1: finish_rows(in, pitch, rows, columns, 1, POOL_AVG, y, end); break;
    case POOL_MAX2 * 2: finish_rows(in, pitch, rows, columns, 0, POOL_MAX2, y, end); break;
    default: finish_rows(in, pitch, rows, columns, 1, POOL_MAX2, y, end);
    }
}

/* ---- layout --------------------------------------------------------------------------------------------------------- */

static int plain_gather(const gather_args *a) {
    size F = a->C * a->area;
    int kind = a->moves ? moved_kind(a) : a->kind;
    void *moved = a->moves ? pool_scratch(SCRATCH_CALL, (size_t)(a->area * kind_bytes(kind))) : NULL;
    if (a->moves && !moved) return -1;
    for (size n = 0; n < a->n; n++) {
        size at = (a->index ? a->index[n] : n) * F;
        T *y = (T *)a->y + n * F;
        if (!a->scale) {
            memcpy(y, (const T *)a->images + at, (size_t)F * sizeof(T));
            continue;
        }
        for (size c = 0; c < a->C; c++, at += a->area, y += a->area) {
            T scale = ((const T *)a->scale)[c], shift = ((const T *)a->shift)[c];
            const void *x = moved ? moved : (const uint8_t *)a->images + at * kind_bytes(kind);
            if (moved) moved_values(a, n, c, 0, a->H, moved);
#define SCALE(type) for (size i = 0; i < a->area; i++) y[i] = (T)((const type *)x)[i] * scale + shift; break
            switch (kind) {
            case 0: SCALE(uint8_t);
            case 1: SCALE(float);
            default: SCALE(double);
            }
#undef SCALE
            if (moved) cut_rows(a, n, 0, a->H, 1, y);
        }
    }
    return 0;
}

static int plain_leave(size n, size F, const void *x, void *y) {
    memcpy(y, x, (size_t)(n * F) * sizeof(T));
    return 0;
}

static int plain_leave_index(size n, size F, const int32_t *x, int32_t *y) {
    memcpy(y, x, (size_t)(n * F) * sizeof(int32_t));
    return 0;
}

/* ---- pooling: a task is one channel of one image ---------------------------------------------------------------------- */

static int plain_maxpool_task(void *context, ptrdiff_t task) {
    const pool_forward_args *a = context;
    const geometry g = a->g;
    const T *x = (const T *)a->x + task * g.H * g.W;
    T *y = (T *)a->y + task * g.OH * g.OW;
    int32_t *argmax = a->argmax + task * g.OH * g.OW;
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++) {
            window k = window_at(&g, oh, ow);
            size place = k.h0 * g.W + k.w0;
            T best = x[place];
            for (size h = k.h0; h < k.h1; h++) {
                for (size w = k.w0; w < k.w1; w++) {
                    T v = x[h * g.W + w];
                    if ((v > best || v != v) && best == best) best = v, place = h * g.W + w;
                }
            }
            *y++ = best;
            *argmax++ = (int32_t)place;
        }
    }
    return 0;
}

INLINE T sum_run(const T *x, size count) {
    V sum = {0};
    size i = 0;
    for (; i + L <= count; i += L) sum += loadu(x + i);
    T total = sum_vector(sum);
    for (; i < count; i++) total += x[i];
    return total;
}

static int plain_avgpool_task(void *context, ptrdiff_t task) {
    const pool_forward_args *a = context;
    const geometry g = a->g;
    const T *x = (const T *)a->x + task * g.H * g.W;
    T *y = (T *)a->y + task * g.OH * g.OW;
    if (g.KH == 2 && g.KW == 2 && g.SH == 2 && g.SW == 2 && !g.PH && !g.PW) {
        finish(x, g.W, g.OH, g.OW, 0, POOL_AVG, y, y + g.OH * g.OW);
        return 0;
    }
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++) {
            window k = window_at(&g, oh, ow);
            T sum = 0;
            if (k.w1 - k.w0 == g.W) sum = sum_run(x + k.h0 * g.W, (k.h1 - k.h0) * g.W);
            else
                for (size h = k.h0; h < k.h1; h++)
                    for (size w = k.w0; w < k.w1; w++) sum += x[h * g.W + w];
            *y++ = sum / (T)(g.KH * g.KW);
        }
    }
    return 0;
}

static int plain_maxpool(const pool_forward_args *a) {
    pool_forward_args job = *a;
    const geometry g = a->g;
    return pool_run(plain_maxpool_task, &job, g.n * g.C, g.n * g.C * g.OH * g.OW * g.KH * g.KW > PARALLEL_FROM);
}

static int plain_avgpool(const pool_forward_args *a) {
    pool_forward_args job = *a;
    const geometry g = a->g;
    return pool_run(plain_avgpool_task, &job, g.n * g.C, g.n * g.C * g.OH * g.OW * g.KH * g.KW > PARALLEL_FROM);
}

/* ---- normalisation by running statistics: a task is one channel of one image --------------------------------------------- */

static int plain_norm_task(void *context, ptrdiff_t task) {
    const norm_forward_args *a = context;
    size area = a->H * a->W, c = task % a->C;
    const T *x = (const T *)a->x + task * area;
    V mean = splat(((const T *)a->mean)[c]), scale = splat(((const T *)a->gamma)[c] * ((const T *)a->inv_std)[c]);
    V beta = splat(((const T *)a->beta)[c]);
    T *values = pool_scratch(SCRATCH_TASK, (size_t)(area + 3 * L) * sizeof(T));
    if (!values) return -1;
    for (size p = 0; p < area; p += L) storeu(values + p, norm_value(loadu(x + p), mean, scale, beta));
    size rows = a->pool ? a->H / 2 : 1, columns = a->pool ? a->W / 2 : area;
    T *y = (T *)a->y + task * rows * columns;
    finish(values, a->W, rows, columns, a->relu, a->pool, y, y + rows * columns);
    return 0;
}

static int plain_norm(const norm_forward_args *a) {
    norm_forward_args job = *a;
    for (size c = 0; c < a->C; c++) {
        ((T *)a->mean)[c] = ((const T *)a->running_mean)[c];
        ((T *)a->inv_std)[c] = (T)(1 / sqrt((double)((const T *)a->running_var)[c] + a->eps));
    }
    return pool_run(plain_norm_task, &job, a->n * a->C, a->n * a->C * a->H * a->W > PARALLEL_FROM);
}
