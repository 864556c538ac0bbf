"""No memory for an array or for a kernel's scratch: a MemoryError each time, and the next call is right.

A library that is loaded before all others counts what minidl asks for (nobody else here asks for aligned memory) and
says no from some request on. Scratch belongs to a thread, so each attempt has a thread of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)

REFUSING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
int allowed = -1;

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    static int (*taken)(void **, size_t, size_t);
    if (!taken) taken = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
    if (allowed == 0) return ENOMEM;
    if (allowed > 0) allowed--;
    return taken(memory, alignment, bytes);
}
"""

PROGRAM = """
import ctypes, sys, threading
import numpy as np
import minidl
from kernels import operations
from minidl import kernels
from minidl._ext import lanearray

ALLOWED = ctypes.c_int.in_dll(ctypes.CDLL(sys.argv[1]), "allowed")
refusals = 0

def attempt(function, arguments, allowed):
    def run():
        ALLOWED.value = allowed
        try:
            outcome.append(function(*arguments[0], **arguments[1]))
        except MemoryError as error:
            outcome.append(error)
        except BaseException as error:
            outcome.extend([error, error])
        ALLOWED.value = -1
    outcome = []
    lanearray.release_memory()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(outcome) == 1, outcome
    return outcome[0]

def stubborn(function):
    def call(*positional, **named):
        global refusals
        for allowed in range(100):
            result = attempt(function, (positional, named), allowed)
            if not isinstance(result, MemoryError):
                return result
            assert "no memory" in str(result), result
            refusals += 1
        raise AssertionError(function)
    return call

class Scarce:
    def __init__(self, backend):
        self.backend = backend

    def __getattr__(self, name):
        found = getattr(self.backend, name)
        return stubborn(found) if callable(found) else found
"""

OPERATIONS = """
with kernels.use("native") as backend:
    for isa in backend.isas():
        backend.use_isa(isa)
        for dtype, n, size in ((np.float32, 3, 6), (np.float64, 19, 5)):
            plain = operations.results(backend, dtype, n, size)
            scarce = operations.results(Scarce(backend), dtype, n, size)
            assert plain.keys() == scarce.keys()
            for name, value in plain.items():
                if "block" in name and "running" in name:
                    continue  # of operations made of two, the first may be done
                assert value.tobytes() == scarce[name].tobytes(), (isa, dtype, name)
print(refusals)
"""

MODELS = """
def network():
    body = minidl.Sequential(minidl.Conv2D(8, 8, 3, padding=1, rng=1), minidl.BatchNorm2D(8), minidl.Relu())
    return minidl.Model(
        minidl.Conv2D(3, 8, 3, padding=1, rng=2), minidl.BatchNorm2D(8), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Residual(body), minidl.Conv2D(8, 8, 1, rng=5), minidl.Dropout(0.2, rng=3), minidl.Flatten(),
        minidl.Linear(8 * 36, 10, rng=4),
    )

images = np.random.default_rng(0).standard_normal((20, 3, 12, 12)).astype(np.float32)
with kernels.use("native"):
    for n in (1, 5, 20):
        model = network()
        usual = model.predict(images[:n])
        assert stubborn(network().predict)(images[:n]).tobytes() == usual.tobytes()
print(refusals)
"""


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """The library."""
    if sys.platform != "linux" or not shutil.which("gcc") or "LD_PRELOAD" in os.environ:
        pytest.skip("needs Linux, gcc, and to be the only library that is loaded first")
    folder = tmp_path_factory.mktemp("refusing")
    (folder / "refusing.c").write_text(REFUSING)
    library = folder / "refusing.so"
    subprocess.run(["gcc", "-shared", "-fPIC", folder / "refusing.c", "-o", library, "-ldl"], check=True)
    return library


@pytest.mark.parametrize(("program", "least"), [(OPERATIONS, 1000), (MODELS, 10)], ids=["operations", "models"])
def test_memory_is_refused(refusing, program, least):
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), *filter(None, sys.path)])
    environment = os.environ | {"LD_PRELOAD": str(refusing), "MINIDL_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-c", PROGRAM + program, str(refusing)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= least
