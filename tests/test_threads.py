"""Threads of the native backend: any number gives the same bits, in a forked child, beside other threads and BLAS."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernels import cases, operations
from small_runs import NETWORKS, digest, train

import minidl
from minidl import kernels

pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)

COUNTS = (1, 2, 3, 5, 2)
"""Numbers of threads to compare; 2 comes twice, to compare runs too."""

dtypes = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])
networks = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture(autouse=True)
def _native_and_the_same_threads_afterwards():
    before = minidl.get_num_threads()
    with kernels.use("native"):
        yield
    minidl.set_num_threads(before)


def assert_equal(found):
    """Every run's results are those of the first, to the bit; names what differs."""
    first, *others = ({name: a.tobytes() for name, a in results.items()} for results in found)
    for count, other in zip(COUNTS[1:], others, strict=True):
        assert first.keys() == other.keys()
        differ = [name for name, value in first.items() if other[name] != value]
        assert not differ, f"{count} threads: {differ}"


def with_each_count(compute):
    found = []
    for count in COUNTS:
        minidl.set_num_threads(count)
        found.append(compute())
    return found


@dtypes
def test_every_operation(native, dtype):
    """Sizes beyond those that stay on one thread, three blocks of the widest lanes, the last one part empty."""
    assert_equal(with_each_count(lambda: operations.results(native, dtype, 37, 18)))


@dtypes
def test_large_losses_and_updates(native, dtype):
    def compute():
        rng = np.random.default_rng(1)
        logits = native.enter(cases.random(rng, (701, 40), dtype))
        labels, rows = rng.integers(0, 40, 701), rng.random((701, 40)).astype(dtype)
        found = {}
        for name, target in (("labels", labels), ("rows", rows)):
            loss, dlogits, correct = native.softmax_cross_entropy(logits, target, 0.1)
            found[name], found[f"{name} dlogits"] = np.array([loss, correct]), native.leave(dlogits)
        weight = rng.random(701).astype(dtype)
        for name, (loss, dx, *correct) in {
            "weighted": native.softmax_cross_entropy(logits, labels, 0.1, weight, rows[0]),
            "sigmoid": native.sigmoid_cross_entropy(logits, rows, weight, rows[0]),
            "mse": native.mse_loss(logits, rows),
            "huber": native.huber_loss(logits, rows, 0.5, weight),
        }.items():
            found[name], found[f"{name} dx"] = np.array([loss, *correct]), native.leave(dx)
        p, grad, m, v = rng.uniform(0.1, 1, (4, 100_003)).astype(dtype)
        native.sgd_update(p, grad, m, 0.1, 0.9, 0.01, True)
        native.rmsprop_update(p, grad, v, 0.1, 0.9, 1e-8, 0.01)
        native.adam_update(p, grad, m, v, 3, 0.1, 0.9, 0.99, 1e-8, 0.01)
        native.blend(m, p, 0.3)
        return {**found, "p": p, "m": m, "v": v, "squares": np.array([native.sum_of_squares(p)])}

    assert_equal(with_each_count(compute))


@dtypes
@networks
def test_training(name, dtype):
    found = with_each_count(lambda: train(name, dtype))
    assert_equal(found)
    assert np.isfinite(found[0]["losses"]).all()


@networks
def test_training_with_every_instruction_set(native, name):
    assert_equal(with_each_count(lambda: train(name)))


def test_another_seed_gives_another_digest():
    assert digest(train("seed", seed=1)) == digest(train("seed", seed=1))
    assert digest(train("seed", seed=1)) != digest(train("seed", seed=2))


class TestTwoPythonThreads:
    @dtypes
    def test_two_models_at_once(self, dtype):
        """While one thread has the pool, the other one computes alone: the bits are those of a run by itself."""
        minidl.set_num_threads(3)
        jobs = [("seed", dtype, 1, 2), ("vgg", dtype, 2, 2), ("residual", dtype, 3, 2), ("seed", dtype, 4, 2)]
        alone = [digest(train(*job)) for job in jobs]
        with ThreadPoolExecutor(len(jobs)) as pool:
            together = list(pool.map(lambda job: digest(train(*job)), jobs))
        assert together == alone

    def test_the_number_of_threads_may_change_meanwhile(self):
        expected = digest(train("seed", epochs=4))
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(lambda: digest(train("seed", epochs=4)))
            count = 0
            while not run.done():
                count += 1
                minidl.set_num_threads(1 + count % 4)
            assert run.result() == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers' processors are Linux's affair")
def test_workers_may_use_every_processor_again_after_a_sleep(native):
    here = {tuple(sorted(os.sched_getaffinity(0)))}
    minidl.set_num_threads(3)
    for _ in range(3):
        operations.results(native, np.dtype("f4"), 37, 18)
        time.sleep(0.01)
    minidl.set_num_threads(1)
    deadline = time.monotonic() + 10
    while (masks := allowed_processors()) != here and time.monotonic() < deadline:
        time.sleep(0.01)
    assert masks == here


def allowed_processors():
    """The masks of this process's threads."""
    return {tuple(sorted(os.sched_getaffinity(int(thread)))) for thread in os.listdir("/proc/self/task")}


def test_beside_numpy_matrix_products(rng):
    """BLAS has a team of threads of its own: neither disturbs the other's results."""
    minidl.set_num_threads(2)
    a = rng.standard_normal((300, 300))
    product = a @ a
    expected = digest(train("vgg"))
    for _ in range(3):
        assert digest(train("vgg")) == expected
        np.testing.assert_array_equal(a @ a, product)


FORK = """
import os, sys
sys.path[:] = {path!r}
import minidl
from small_runs import digest, train

def child(work):
    "What `work` gives in a forked child; no answer within the test's timeout if the child hangs."
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.close(writer)
    answer = os.read(reader, 1000).decode()
    assert os.waitpid(pid, 0)[1] == 0
    return answer

def two_threads():
    minidl.set_num_threads(2)
    return digest(train("vgg"))

{body}
"""

BODIES = {
    "after the pool ran": """
expected = two_threads()
assert child(two_threads) == expected
assert child(lambda: child(two_threads)) == expected, "a child's child"
assert two_threads() == expected, "the parent afterwards"
""",
    "before it ran": """
answer = child(two_threads)
assert answer == two_threads()
""",
    "while another thread computes": """
import threading
expected = two_threads()
stop = threading.Event()
def compute():
    while not stop.is_set():
        train("seed")
thread = threading.Thread(target=compute)
thread.start()
try:
    for _ in range(3):
        assert child(two_threads) == expected
finally:
    stop.set()
thread.join()
""",
    "as multiprocessing does": """
import multiprocessing
expected = two_threads()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.starmap(two_threads, [()] * 4) == [expected] * 4
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_forked_child_trains(body):
    """In a process of its own: forking this one would copy whatever else runs here."""
    script = FORK.format(path=sys.path, body=body)
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert process.returncode == 0, process.stderr
