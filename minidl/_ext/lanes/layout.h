/* Into the lanes and out of them: squares of L images by L values are transposed in registers. */

INLINE V load_values(const gather_args *a, size at, size count) {
    T value[L] __attribute__((aligned(VBYTES))) = {0};
    if (a->kind == 0) {
        const uint8_t *p = (const uint8_t *)a->images + at;
        uint8_t bytes[L] __attribute__((aligned(L))) = {0};
        memcpy(bytes, p, (size_t)count);
        return __builtin_convertvector(__builtin_convertvector(*(const VB *)bytes, VI), V);
    }
    if (a->kind == (IS_FLOAT ? 1 : 2)) {
        if (count == L) return loadu((const T *)a->images + at);
        memcpy(value, (const T *)a->images + at, (size_t)count * sizeof(T));
    } else {
        for (size i = 0; i < count; i++)
            value[i] = (T)(a->kind == 1 ? ((const float *)a->images)[at + i] : ((const double *)a->images)[at + i]);
    }
    return load(value);
}

enum { GATHER_VALUES = 16 * L }; /* values of each image a task */

static int gather_task(void *context, ptrdiff_t task) {
    const gather_args *a = context;
    size F = a->C * a->area, pieces = ceil_div(F, GATHER_VALUES), block = task / pieces, from = task % pieces * GATHER_VALUES;
    size to = smaller(F, from + GATHER_VALUES), lanes = smaller(L, a->n - block * L);
    const T *scale = a->scale, *shift = a->shift;
    T *y = (T *)a->y + block * F * L;
    for (size f = from; f < to; f += L) {
        V square[L];
        size count = smaller(L, F - f);
        for (size l = 0; l < L; l++) {
            size image = block * L + l;
            square[l] = l < lanes ? load_values(a, (a->index ? a->index[image] : image) * F + f, count) : (V){0};
        }
        transpose(square);
        for (size i = 0; i < count; i++) {
            V v = square[i];
            if (scale) v = v * scale[(f + i) / a->area] + shift[(f + i) / a->area];
            store(y + (f + i) * L, v);
        }
    }
    return 0;
}

static int gather(const gather_args *a) {
    gather_args job = *a;
    size F = a->C * a->area;
    return pool_run(gather_task, &job, blocks_of(a->n) * ceil_div(F, GATHER_VALUES), a->n * F > 4 * PARALLEL_FROM);
}

typedef struct {
    size n, F;
    const T *x;
    T *y;
} leave_job;

static int leave_task(void *context, ptrdiff_t block) {
    const leave_job *job = context;
    size F = job->F, lanes = smaller(L, job->n - block * L);
    const T *x = job->x + block * F * L;
    T *y = job->y + block * L * F;
    for (size f = 0; f < F; f += L) {
        V square[L];
        size count = smaller(L, F - f);
        for (size i = 0; i < L; i++) square[i] = i < count ? load(x + (f + i) * L) : (V){0};
        transpose(square);
        for (size l = 0; l < lanes; l++) {
            if (count == L) storeu(y + l * F + f, square[l]);
            else memcpy(y + l * F + f, &square[l], (size_t)count * sizeof(T));
        }
    }
    return 0;
}

static int leave(size n, size F, const void *x, void *y) {
    leave_job job = {n, F, x, y};
    return pool_run(leave_task, &job, blocks_of(n), n * F > 4 * PARALLEL_FROM);
}

static int enter_index(size n, size F, const int32_t *x, int32_t *y) {
    for (size i = 0; i < blocks_of(n) * L; i++)
        for (size f = 0; f < F; f++) y[(i / L * F + f) * L + i % L] = i < n ? x[i * F + f] : 0;
    return 0;
}

static int leave_index(size n, size F, const int32_t *x, int32_t *y) {
    for (size i = 0; i < n; i++)
        for (size f = 0; f < F; f++) y[i * F + f] = x[(i / L * F + f) * L + i % L];
    return 0;
}
