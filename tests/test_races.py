"""What several Python threads share at once: buffers of arrays, compiled predictions, settings of the process.

`make sanitize-threads` and `tools/free_threaded.py` run these, too: there a race shows that leaves the results right.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_runs import vgg

import minidl
from minidl import kernels

lanearray = pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)

THREADS = 4


@pytest.fixture(autouse=True)
def _native():
    with kernels.use("native"):
        yield


def together(work: Callable[[int], Any]) -> list[Any]:
    """What `work(0)`, `work(1)`, ... give, each in a thread of its own, all begun at once; the first exception."""
    start, found, faults = threading.Barrier(THREADS), [None] * THREADS, []

    def run(i: int) -> None:
        try:
            start.wait()
            found[i] = work(i)
        except BaseException as error:  # raised by the main thread
            faults.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return found


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 1, 28, 28), np.float32)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has its GIL always")
def test_no_compiled_module_switches_the_gil_on():
    script = """
import importlib, pathlib, sys
import minidl
from minidl import _ext
names = {path.name.partition(".")[0] for path in pathlib.Path(_ext.__path__[0]).glob("*.so")}
for name in sorted(names):
    importlib.import_module("minidl._ext." + name)
print(len(names), sys._is_gil_enabled())
"""
    found = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    count, enabled = found.stdout.split()
    assert int(count) > 20
    assert enabled == "False"


def test_no_buffer_belongs_to_two_arrays():
    native = kernels.current()
    live, _ = lanearray.memory_in_use()

    def work(i: int) -> None:
        held: list[tuple[Any, np.ndarray]] = []
        for step in range(200):
            values = np.full((1 + (7 * step + i) % 40, 3, 1 + step % 5, 4), 1000 * i + step, np.float32)
            held.append((native.enter(values), values))
            if len(held) > 6:
                array, wanted = held.pop(step % 6)
                assert (native.leave(array) == wanted).all()
            if step % 50 == 49:
                lanearray.release_memory()
        assert all((native.leave(array) == wanted).all() for array, wanted in held)

    together(work)
    assert lanearray.memory_in_use()[0] == live


@pytest.mark.parametrize("layout", ["channels", "images"])
def test_predictions_of_one_model(layout):
    """All threads find nothing made yet, and make it; then each finds what some thread has made."""
    from minidl.compiled.choice import use_layout

    use_layout(layout)
    try:
        sizes = [1, 3, 20, 1]
        alone = [vgg(np.float32).predict(images(n)).tobytes() for n in sizes]
        model = vgg(np.float32)
        found = together(lambda i: {model.predict(images(sizes[i])).tobytes() for _ in range(15)})
        assert found == [{scores} for scores in alone]
    finally:
        use_layout("auto")


def test_a_change_of_weights_is_seen_by_every_thread():
    """One thread writes weights and lets go of them, again and again; each time all threads see the last ones."""
    model, other = vgg(np.float32), vgg(np.float32)
    x = images(2)
    turn = threading.Barrier(THREADS)

    def work(i: int) -> list[bytes]:
        found = []
        for step in range(10):
            if i == 0:
                model.parameters()[0].data[...] *= np.float32(1 + step / 10)
            turn.wait()
            found.append(model.predict(x).tobytes())
            model.predict(x)
            turn.wait()
        return found

    found = together(work)
    wanted = []
    for step in range(10):
        other.parameters()[0].data[...] *= np.float32(1 + step / 10)
        wanted.append(other.predict(x).tobytes())
    assert len(set(wanted)) > 5
    assert found == [wanted] * THREADS


def test_a_thread_that_only_takes_an_array_hides_no_writer():
    """Threads take arrays without writing while one writes: their takings must not make the writer's unseen."""
    model, other = vgg(np.float32), vgg(np.float32)
    x = images(1)
    over = threading.Event()

    def work(i: int) -> list[bytes]:
        found: list[bytes] = []
        while i and not over.is_set():
            assert model.parameters()[1].data is not None
        for step in range(0 if i else 40):
            model.parameters()[0].data[...] = np.float32(step) / 40
            found.append(model.predict(x).tobytes())
        over.set()
        return found

    wanted = []
    for step in range(40):
        other.parameters()[0].data[...] = np.float32(step) / 40
        wanted.append(other.predict(x).tobytes())
    assert together(work)[0] == wanted


def test_settings_of_the_process_may_change_meanwhile():
    """Winograd's tile and the number of threads: a layer reads them once, so a pass may mix two, and is right."""
    from minidl.kernels import native

    before = lanearray.winograd(), minidl.get_num_threads()
    x = images(5)
    expected = vgg(np.float32).forward(x)

    def work(i: int) -> list[np.ndarray]:
        if i:
            model = vgg(np.float32)
            return [model.forward(x) for _ in range(20)]
        for step in range(300):
            native.use_winograd((0, 2, 4)[step % 3])
            minidl.set_num_threads(1 + step % 3)
            assert minidl.get_num_threads() == 1 + step % 3
        return []

    try:
        for scores in [each for found in together(work) for each in found]:
            np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-4)
    finally:
        native.use_winograd(before[0])
        minidl.set_num_threads(before[1])
