/* Optimiser steps over plain arrays, in loops that the compiler vectorises. Formulas: minidl/kernels/contract.py. */

typedef struct {
    size count;
    T *p, *s1, *s2; /* parameter, state */
    const T *grad;
    T lr, c1, c2, decay, eps, m_factor, v_factor; /* factors: the bias corrections of Adam's moments */
    int flag;
} update_job;

enum { UPDATE_CHUNK = 16384 };

static int sgd_task(void *context, ptrdiff_t task) {
    const update_job j = *(const update_job *)context;
    size from = task * UPDATE_CHUNK, to = smaller(j.count, from + UPDATE_CHUNK);
    T *restrict p = j.p, *restrict v = j.s1;
    const T *restrict grad = j.grad;
    if (!v) {
        for (size i = from; i < to; i++) p[i] -= j.lr * (grad[i] + j.decay * p[i]);
    } else if (!j.flag) {
        for (size i = from; i < to; i++) {
            v[i] = j.c1 * v[i] + (grad[i] + j.decay * p[i]);
            p[i] -= j.lr * v[i];
        }
    } else {
        for (size i = from; i < to; i++) {
            T g = grad[i] + j.decay * p[i];
            v[i] = j.c1 * v[i] + g;
            p[i] -= j.lr * (g + j.c1 * v[i]);
        }
    }
    return 0;
}

static int rmsprop_task(void *context, ptrdiff_t task) {
    const update_job j = *(const update_job *)context;
    size from = task * UPDATE_CHUNK, to = smaller(j.count, from + UPDATE_CHUNK);
    T *restrict p = j.p, *restrict s = j.s1;
    const T *restrict grad = j.grad;
    for (size i = from; i < to; i++) {
        T g = grad[i] + j.decay * p[i];
        s[i] = j.c1 * s[i] + (1 - j.c1) * g * g;
        p[i] -= j.lr * g / ((T)(IS_FLOAT ? sqrtf((float)s[i]) : sqrt((double)s[i])) + j.eps);
    }
    return 0;
}

static int adam_task(void *context, ptrdiff_t task) {
    const update_job j = *(const update_job *)context;
    size from = task * UPDATE_CHUNK, to = smaller(j.count, from + UPDATE_CHUNK);
    T *restrict p = j.p, *restrict m = j.s1, *restrict v = j.s2;
    const T *restrict grad = j.grad;
    T coupled = j.flag ? 0 : j.decay, shrink = j.flag ? 1 - j.lr * j.decay : 1;
    for (size i = from; i < to; i++) {
        T g = grad[i] + coupled * p[i];
        m[i] = j.c1 * m[i] + (1 - j.c1) * g;
        v[i] = j.c2 * v[i] + (1 - j.c2) * g * g;
        T root = (T)(IS_FLOAT ? sqrtf((float)(v[i] * j.v_factor)) : sqrt((double)(v[i] * j.v_factor)));
        p[i] = shrink * p[i] - j.lr * (m[i] * j.m_factor) / (root + j.eps);
    }
    return 0;
}

static int update_run(pool_task task, update_job *job) {
    return pool_run(task, job, ceil_div(job->count, UPDATE_CHUNK), job->count > 2 * UPDATE_CHUNK);
}

static int sgd(size count, void *p, const void *grad, void *velocity, double lr, double momentum, double decay, int nesterov) {
    update_job job = {.count = count, .p = p, .grad = grad, .s1 = velocity, .lr = (T)lr, .c1 = (T)momentum,
                      .decay = (T)decay, .flag = nesterov};
    return update_run(sgd_task, &job);
}

static int rmsprop(size count, void *p, const void *grad, void *square, double lr, double rho, double eps, double decay) {
    update_job job = {.count = count, .p = p, .grad = grad, .s1 = square, .lr = (T)lr, .c1 = (T)rho, .eps = (T)eps,
                      .decay = (T)decay};
    return update_run(rmsprop_task, &job);
}

static int adam(size count, void *p, const void *grad, void *m, void *v, size step, double lr, double beta1, double beta2,
                double eps, double decay, int decoupled) {
    update_job job = {.count = count, .p = p, .grad = grad, .s1 = m, .s2 = v, .lr = (T)lr, .c1 = (T)beta1, .c2 = (T)beta2,
                      .m_factor = (T)(1 / (1 - pow(beta1, (double)step))), .v_factor = (T)(1 / (1 - pow(beta2, (double)step))),
                      .eps = (T)eps, .decay = (T)decay, .flag = decoupled};
    return update_run(adam_task, &job);
}
