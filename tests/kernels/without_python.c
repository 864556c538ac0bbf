/* The pool of threads and some kernels, for compilers and systems that have no Python: exits with 0 and says what it
   did, or with 1 at the first thing that is wrong. Whole numbers alone are computed, so that direct sums are
   exact. */
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "core/buffers.h"
#include "core/kernels.h"
#include "core/pool.h"
#include "core/threads.h"
#include "isa/detect.h"

#define CHECK(what, ...) \
    do { \
        if (!(what)) { \
            printf("line %d: not %s: ", __LINE__, #what); \
            printf(__VA_ARGS__); \
            printf("\n"); \
            exit(1); \
        } \
    } while (0)

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

enum { TASKS_MOST = 300 };

typedef struct {
    _Atomic int runs[TASKS_MOST];
    int failing; /* a task, or -1 */
    _Atomic int nested;
} counted;

static int count_up(void *context, ptrdiff_t task) {
    atomic_fetch_add((_Atomic int *)context, (int)task + 1);
    return 0;
}

static int count_run(void *context, ptrdiff_t task) {
    counted *c = context;
    char *own = pool_scratch(SCRATCH_TASK, 1000 + 10 * (size_t)task);
    if (!own || (uintptr_t)own % 64) return -1;
    memset(own, (int)task, 1000);
    pool_run(count_up, &c->nested, 3, 1); /* the pool is in use: on this thread alone */
    atomic_fetch_add(&c->runs[task], 1);
    for (int i = 0; i < 1000; i++)
        if (own[i] != (char)task) return -1;
    return task == c->failing ? -1 : 0;
}

static void run_and_count(ptrdiff_t tasks, int failing, int parallel) {
    counted c;
    memset(&c, 0, sizeof c);
    c.failing = failing;
    int status = pool_run(count_run, &c, tasks, parallel);
    CHECK(status == (failing >= 0 ? -1 : 0), "%d of %d tasks, %d fails", status, (int)tasks, failing);
    for (int i = 0; i < TASKS_MOST; i++) CHECK(c.runs[i] == (i < tasks), "task %d ran %d times", i, c.runs[i]);
    CHECK(c.nested == 6 * tasks, "%d nested tasks of %d", c.nested, (int)(6 * tasks));
}

static void wait_a_moment(void) {
    for (volatile int i = 0; i < 3000000; i++) {
    } /* longer than a worker spins: it falls asleep */
}

static _Atomic int callers_left;

static thread_end THREAD_CALL caller(void *argument) {
    (void)argument;
    for (int i = 0; i < 500; i++) run_and_count(i % TASKS_MOST, -1, 1);
    atomic_fetch_sub(&callers_left, 1);
    return 0;
}

static void start_callers(thread_end(THREAD_CALL *run)(void *), int number) {
    callers_left = number;
    for (int i = 0; i < number; i++) CHECK(thread_started(run, NULL), "thread %d", i);
}

static void test_pool(void) {
    for (int threads = 1; threads <= 5; threads++) {
        pool_set_threads(threads);
        CHECK(pool_get_threads() == threads, "%d threads", threads);
        for (int tasks = 0; tasks < TASKS_MOST; tasks += 1 + tasks / 7) {
            run_and_count(tasks, -1, 1);
            run_and_count(tasks, -1, 0);
            if (tasks) run_and_count(tasks, tasks - 1, 1);
            if (tasks % 16 == 1) wait_a_moment();
        }
    }
    pool_set_threads(0);
    CHECK(pool_get_threads() == 1, "%d", pool_get_threads());
    pool_set_threads(1 << 30);
    CHECK(pool_get_threads() == POOL_MAX, "%d", pool_get_threads());
    pool_set_threads(3);
    start_callers(caller, 4);
    for (int i = 0; atomic_load(&callers_left); i++) {
        wait_a_moment();
        pool_set_threads(1 + i % 5);
    }
    printf("pool: 1 to 5 threads, sleepers, 4 callers at once, their number of threads changed meanwhile\n");
}

static void test_memory(void) {
    for (size_t bytes = 1; bytes < (size_t)1 << 24; bytes *= 3) {
        char *memory = pool_memory(bytes);
        CHECK(memory && (uintptr_t)memory % 64 == 0, "%p", (void *)memory);
        memset(memory, 1, bytes);
        pool_free(memory);
    }
    char *first = pool_scratch(SCRATCH_CALL, 100);
    CHECK(first && first == pool_scratch(SCRATCH_CALL, 50), "%p", (void *)first);
    CHECK(pool_scratch(SCRATCH_TASK, 100) != first, "%p", (void *)first);
    CHECK(!pool_memory(SIZE_MAX / 2), "half of all addresses");
    printf("memory: aligned, kept\n");
}

/* ---- buffers of arrays ------------------------------------------------------------------------------------------- */

enum { HELD = 20, BUFFER = 4096 };

/* Take and return buffers of some sizes, each filled with marks of its own. */
static void take_and_return(unsigned seed) {
    unsigned char *held[HELD] = {0}, mark[HELD] = {0};
    size_t bytes[HELD] = {0};
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1664525 + 1013904223;
        int at = (int)(seed >> 16) % HELD;
        if (held[at]) {
            for (size_t k = 0; k < bytes[at]; k += 500) CHECK(held[at][k] == mark[at], "another thread's buffer");
            buffers_return(held[at], bytes[at]);
            held[at] = NULL;
            continue;
        }
        bytes[at] = BUFFER * (1 + (seed >> 24) % 9);
        mark[at] = (unsigned char)(seed >> 8);
        held[at] = buffers_take(bytes[at]);
        CHECK(held[at] && (uintptr_t)held[at] % 64 == 0, "%p", (void *)held[at]);
        memset(held[at], mark[at], bytes[at]);
        buffer_bytes now = buffers_now();
        CHECK(now.live >= bytes[at], "%d bytes live", (int)now.live);
        if (i % 500 == 499) buffers_release();
    }
    for (int i = 0; i < HELD; i++)
        if (held[i]) buffers_return(held[i], bytes[i]);
}

static thread_end THREAD_CALL taker(void *argument) {
    (void)argument;
    take_and_return((unsigned)atomic_load(&callers_left));
    atomic_fetch_sub(&callers_left, 1);
    return 0;
}

static void test_buffers(void) {
    char *first = buffers_take(BUFFER), *other = buffers_take(2 * BUFFER);
    CHECK(first && other && buffers_now().live == 3 * BUFFER && !buffers_now().waiting, "two buffers");
    buffers_return(first, BUFFER);
    CHECK(buffers_now().live == 2 * BUFFER && buffers_now().waiting == BUFFER, "one of them waits");
    CHECK(buffers_take(BUFFER) == first, "the one that waited");
    buffers_return(other, 2 * BUFFER), buffers_return(first, BUFFER);
    CHECK(!buffers_now().live && buffers_now().waiting == 3 * BUFFER, "both wait");
    buffers_release();
    CHECK(!buffers_now().live && !buffers_now().waiting, "none is left");
    CHECK(!buffers_take(SIZE_MAX / 2) && !buffers_now().live, "half of all addresses");
    for (size_t i = 1; i <= 1000; i++) buffers_return(buffers_take(i * BUFFER), i * BUFFER); /* sizes of the past go */
    CHECK(buffers_now().waiting <= 1000 * BUFFER * 5 / 4 + (16 << 20), "%d wait", (int)buffers_now().waiting);
    start_callers(taker, 4);
    while (atomic_load(&callers_left)) wait_a_moment();
    CHECK(!buffers_now().live, "%d bytes live", (int)buffers_now().live);
    buffers_release();
    printf("buffers: by size, 4 threads at once\n");
}

/* ---- forks ------------------------------------------------------------------------------------------------------- */

#ifdef _WIN32
static void test_forks(void) {}
#else
static _Atomic int forks_left;

static thread_end beside_forks(void *argument) {
    (void)argument;
    while (atomic_load(&forks_left)) {
        run_and_count(50, -1, 1);
        take_and_return((unsigned)atomic_load(&forks_left));
    }
    atomic_fetch_sub(&callers_left, 1);
    return 0;
}

/* Children of a process whose other threads have the pool and the buffers: each has both for itself. */
static void test_forks(void) {
    pool_set_threads(3);
    forks_left = 20;
    start_callers(beside_forks, 2);
    while (atomic_load(&forks_left)) {
        pid_t child = fork();
        CHECK(child >= 0, "a fork");
        if (!child) {
            for (int i = 0; i < 20; i++) run_and_count(100, -1, 1);
            take_and_return(1);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && !status, "a child ended with %d", status);
        atomic_fetch_sub(&forks_left, 1);
    }
    while (atomic_load(&callers_left)) wait_a_moment();
    printf("forks: 20 children, 2 threads beside\n");
}
#endif

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

static int is_double;

static size bytes_of(size count) { return count * (is_double ? 8 : 4); }
static double get(const void *a, size i) { return is_double ? ((const double *)a)[i] : (double)((const float *)a)[i]; }
static void put(void *a, size i, double value) {
    if (is_double) ((double *)a)[i] = value;
    else ((float *)a)[i] = (float)value;
}

/* An array of small whole numbers. */
static void *filled(size count, unsigned seed) {
    void *a = pool_memory((size_t)bytes_of(count + PIXELS_SLACK));
    CHECK(a, "%d elements", (int)count);
    for (size i = 0; i < count + PIXELS_SLACK; i++) {
        seed = seed * 1664525 + 1013904223;
        put(a, i, (int)(seed >> 24) % 7 - 3);
    }
    return a;
}

/* Value i of image n, in an array of lanes with F values an image. */
static size in_lanes(size L, size F, size n, size i) { return (n / L * F + i) * L + n % L; }

/* Sums of whole numbers: exact if they are direct, to what Winograd's form promises if they are not. */
static void compare(const char *isa, const char *what, int winograd, size count, const double *found,
                    const double *wanted) {
    double largest = 0, share = !winograd ? 0 : is_double ? 1e-13 : 5e-6;
    for (size i = 0; i < count; i++) largest = fmax(largest, fabs(wanted[i]));
    for (size i = 0; i < count; i++)
        CHECK(fabs(found[i] - wanted[i]) <= share * largest, "%s, tile %d: %s %.17g, not %g", isa, winograd, what,
              found[i], wanted[i]);
}

static void test_conv(const kernel_table *table, size K, size stride, int winograd) {
    const size L = table->layout.lanes, n = L + 1, C = 5, H = 9, W = 11, O = 7, P = K / 2, blocks = 2;
    const size OH = (H + 2 * P - K) / stride + 1, OW = (W + 2 * P - K) / stride + 1;
    geometry g = {n, C, H, W, O, K, K, stride, stride, P, P, 1, 1, 1, OH, OW};
    void *x = filled(blocks * C * H * W * L, 1), *w = filled(O * C * K * K, 2), *b = filled(O, 3);
    void *y = filled(blocks * O * OH * OW * L, 4), *dx = filled(blocks * C * H * W * L, 5);
    void *dy = filled(blocks * O * OH * OW * L, 6), *dw = filled(O * C * K * K, 7), *db = filled(O, 8);
    for (size lane = 1; lane < L; lane++) /* empty lanes of a gradient are zeros */
        for (size i = 0; i < O * OH * OW; i++) put(dy, (O * OH * OW + i) * L + lane, 0);
    double *dx_wanted = calloc((size_t)(n * C * H * W), 8), *dw_wanted = calloc((size_t)(O * C * K * K), 8);
    double *db_wanted = calloc((size_t)O, 8), *y_wanted = calloc((size_t)(n * O * OH * OW), 8);
    double *found = calloc((size_t)(n * (C + O) * H * W + O * C * K * K), 8);
    CHECK(dx_wanted && dw_wanted && db_wanted && y_wanted && found, "memory");

    conv_forward_args forward = {.g = g, .x = x, .w = w, .b = b, .y = y, .winograd = winograd};
    CHECK(!table->conv_forward(&forward), "memory");
    conv_backward_args backward = {.g = g, .dy = dy, .x = x, .w = w, .dx = dx, .dw = dw, .db = db};
    backward.winograd = winograd;
    CHECK(!table->conv_backward(&backward), "memory");
    for (size image = 0; image < n; image++)
        for (size o = 0; o < O; o++)
            for (size at = 0; at < OH * OW; at++) {
                double sum = get(b, o), d = get(dy, in_lanes(L, O * OH * OW, image, o * OH * OW + at));
                db_wanted[o] += d;
                for (size c = 0; c < C; c++)
                    for (size k = 0; k < K * K; k++) {
                        size h = at / OW * stride + k / K - P, v = at % OW * stride + k % K - P;
                        if (h < 0 || h >= H || v < 0 || v >= W) continue;
                        size weight = (o * C + c) * K * K + k, pixel = (c * H + h) * W + v;
                        double value = get(x, in_lanes(L, C * H * W, image, pixel));
                        sum += get(w, weight) * value;
                        dx_wanted[image * C * H * W + pixel] += get(w, weight) * d;
                        dw_wanted[weight] += value * d;
                    }
                y_wanted[(image * O + o) * OH * OW + at] = sum;
            }
    if (K != 3 || stride != 1) winograd = 0; /* such a window has direct sums alone */
    for (size i = 0; i < n * O * OH * OW; i++)
        found[i] = get(y, in_lanes(L, O * OH * OW, i / (O * OH * OW), i % (O * OH * OW)));
    compare(table->isa, "y", winograd, n * O * OH * OW, found, y_wanted);
    for (size i = 0; i < n * C * H * W; i++)
        found[i] = get(dx, in_lanes(L, C * H * W, i / (C * H * W), i % (C * H * W)));
    compare(table->isa, "dx", winograd, n * C * H * W, found, dx_wanted);
    for (size i = 0; i < O * C * K * K; i++) found[i] = get(dw, i);
    compare(table->isa, "dw", winograd, O * C * K * K, found, dw_wanted);
    for (size o = 0; o < O; o++) CHECK(get(db, o) == db_wanted[o], "%s, K %d: db", table->isa, (int)K);
    void *all[] = {x, w, b, y, dx, dy, dw, db};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) pool_free(all[i]);
    free(dx_wanted), free(dw_wanted), free(db_wanted), free(y_wanted), free(found);
}

static void test_linear(const kernel_table *table, size F, size O) {
    const size L = table->layout.lanes, n = 2 * L - 1;
    void *x = filled(2 * F * L, 1), *w = filled(O * F, 2), *b = filled(O, 3), *y = filled(2 * O * L, 4);
    linear_forward_args a = {.n = n, .F = F, .O = O, .x = x, .w = w, .b = b, .y = y, .relu = 1};
    CHECK(!table->linear_forward(&a), "memory");
    for (size image = 0; image < n; image++)
        for (size o = 0; o < O; o++) {
            double sum = get(b, o), found = get(y, in_lanes(L, O, image, o));
            for (size f = 0; f < F; f++) sum += get(w, o * F + f) * get(x, in_lanes(L, F, image, f));
            CHECK(found == (sum > 0 ? sum : 0), "%s: %g, not %g", table->isa, found, sum);
        }
    pool_free(x), pool_free(w), pool_free(b), pool_free(y);
}

static void test_update(const kernel_table *table, size count) {
    void *p = filled(count, 1), *grad = filled(count, 2), *velocity = filled(count, 3);
    double sum = 0, wanted = 0;
    for (size i = 0; i < count; i++) wanted += get(grad, i) * get(grad, i);
    CHECK(!table->sum_squares(count, grad, &sum) && sum == wanted, "%s: %g, not %g", table->isa, sum, wanted);
    double *after = calloc((size_t)count + 1, 8);
    CHECK(after, "memory");
    for (size i = 0; i < count; i++) after[i] = get(p, i) - 0.5 * (0.5 * get(velocity, i) + get(grad, i));
    CHECK(!table->sgd(1, &count, &p, &grad, &velocity, 0.5, 0.5, 0, 0, 1), "memory");
    for (size i = 0; i < count; i++) CHECK(get(p, i) == after[i], "%s: %g, not %g", table->isa, get(p, i), after[i]);
    free(after), pool_free(p), pool_free(grad), pool_free(velocity);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    test_memory();
    test_pool();
    test_buffers();
    test_forks();
    for (int isa = 0; isa < isa_count(); isa++)
        for (is_double = 0; is_double < 2; is_double++) {
            const kernel_table *table = isa_table(isa, is_double);
            for (int threads = 1; threads <= 3; threads++) {
                pool_set_threads(threads);
                for (size K = 1; K <= 5; K += 2)
                    for (size stride = 1; stride <= 2; stride++)
                        for (int winograd = 0; winograd <= 4; winograd += 2) test_conv(table, K, stride, winograd);
                test_linear(table, 300, 70);
                test_linear(table, 7, 1);
                test_update(table, 100003);
                test_update(table, 0);
            }
            printf("%s, %s: conv, linear, sgd, sum_squares\n", table->isa, is_double ? "float64" : "float32");
        }
    return 0;
}
