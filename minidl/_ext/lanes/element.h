/* Activations, addition and dropout: one value in, one value out. */

/* 2^n for whole n in the exponent's range. */
INLINE V power_of_two(V n) {
    VI i = __builtin_convertvector(n, VI);
    return (V)((i + (IS_FLOAT ? 127 : 1023)) << (IS_FLOAT ? 23 : 52));
}

/* exp(x) - 1 = 2^n q + (2^n - 1) with x = n ln 2 + r and q = exp(r) - 1 by its Taylor series, |r| <= ln 2 / 2.
   `one` 1 gives exp(x). Results below the smallest normal number are that number or so. */
INLINE V exp_series(V x, int one) {
    const T top = (T)(IS_FLOAT ? 88.0 : 709.0), magic = (T)(IS_FLOAT ? 12582912.0 : 6755399441055744.0);
    x = select(x < -top + 1, splat(-top + 1), x);
    V n = (select(x > top, splat(top), x) * (T)1.44269504088896340736 + magic) - magic;
    V r = x - n * (T)(IS_FLOAT ? 0.693359375 : 6.93145751953125e-1);
    r -= n * (T)(IS_FLOAT ? -2.12194440054690583e-4 : 1.42860682030941723212e-6);
    V q = {0};
    for (int k = IS_FLOAT ? 8 : 14; k >= 1; k--) q = (q + 1) * r / (T)k;
    V power = power_of_two(n);
    V result = q * power + (one ? power : power - 1);
    return select(x > top, splat((T)HUGE_VAL), result);
}

INLINE V sigmoid(V x) {
    V e = exp_series((V)((VI)x | (VI)splat((T)-0.0)), 1);
    V s = 1 / (1 + e);
    return select(x < 0, e * s, s);
}

INLINE V hyperbolic_tangent(V x) {
    VI sign = (VI)splat((T)-0.0);
    V m = exp_series(2 * (V)((VI)x | sign), 0);
    return (V)((VI)(-m / (2 + m)) | ((VI)x & sign));
}

typedef struct {
    int which;
    size count;
    const T *a, *b;
    T *y;
} element_job;

enum { CHUNK = 2048 }; /* vectors a task */

INLINE void element_loop(const element_job *job, ptrdiff_t task, V (*f)(V, V)) {
    size end = smaller(job->count, (task + 1) * CHUNK * L);
    for (size i = task * CHUNK * L; i < end; i += L) store(job->y + i, f(load(job->a + i), load(job->b + i)));
}

INLINE V sum_of(V a, V b) { return a + b; }
INLINE V relu_of(V x, V unused) { (void)unused; return relu(x); }
INLINE V sigmoid_of(V x, V unused) { (void)unused; return sigmoid(x); }
INLINE V tanh_of(V x, V unused) { (void)unused; return hyperbolic_tangent(x); }
INLINE V relu_slope(V dy, V y) { return (V)((VI)dy & (y > 0)); }
INLINE V sigmoid_slope(V dy, V y) { return dy * y * (1 - y); }
INLINE V tanh_slope(V dy, V y) { return dy * (1 - y * y); }

static int add_task(void *context, ptrdiff_t task) {
    element_loop(context, task, sum_of);
    return 0;
}

static int element_forward_task(void *context, ptrdiff_t task) {
    const element_job *job = context;
    switch (job->which) {
    case ELEMENT_RELU: element_loop(job, task, relu_of); break;
    case ELEMENT_SIGMOID: element_loop(job, task, sigmoid_of); break;
    default: element_loop(job, task, tanh_of);
    }
    return 0;
}

static int element_backward_task(void *context, ptrdiff_t task) {
    const element_job *job = context;
    switch (job->which) {
    case ELEMENT_RELU: element_loop(job, task, relu_slope); break;
    case ELEMENT_SIGMOID: element_loop(job, task, sigmoid_slope); break;
    default: element_loop(job, task, tanh_slope);
    }
    return 0;
}

static int element_run(pool_task task, int which, size count, const void *a, const void *b, void *y) {
    element_job job = {which, count, a, b, y};
    return pool_run(task, &job, ceil_div(count, CHUNK * L), 1);
}

static int add(size count, const void *a, const void *b, void *y) { return element_run(add_task, 0, count, a, b, y); }

static int element_forward(int which, size count, const void *x, void *y) {
    return element_run(element_forward_task, which, count, x, x, y);
}

static int element_backward(int which, size count, const void *dy, const void *y, void *dx) {
    return element_run(element_backward_task, which, count, dy, y, dx);
}

/* The random bits of (key, counter) as in minidl/kernels/random.py. */
INLINE uint64_t mix(uint64_t key, uint64_t counter) {
    uint64_t z = key + (counter + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

typedef struct {
    size F;
    uint64_t key, threshold;
    T factor;
    const T *x;
    T *y;
} dropout_job;

static int dropout_task(void *context, ptrdiff_t block) {
    const dropout_job *job = context;
    for (size f = 0; f < job->F; f++) {
        size at = (block * job->F + f) * L;
        for (size l = 0; l < L; l++) {
            uint64_t bits = mix(job->key, (uint64_t)((block * L + l) * job->F + f)) >> 32;
            job->y[at + l] = bits >= job->threshold ? job->x[at + l] * job->factor : 0;
        }
    }
    return 0;
}

static int dropout(size n, size F, double rate, uint64_t key, const void *x, void *y) {
    dropout_job job = {F, key, (uint64_t)nearbyint(rate * 4294967296.0), (T)(1 / (1 - rate)), x, y};
    return pool_run(dropout_task, &job, blocks_of(n), blocks_of(n) * F * L > PARALLEL_FROM);
}
